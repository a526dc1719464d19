//! What makes a request provable and droppable: its id, its time, and the signatures over them and the body.
//!
//! Standard Webhooks 1.0.0 (<https://github.com/standard-webhooks/standard-webhooks>): `v1,` and the base64 of
//! HMAC-SHA-256 over `id.timestamp.body`, one for each secret, separated by spaces.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::config::WebhookConfig;
use crate::base::error::Result;
use crate::err;
use crate::sinks::sink::Delivery;

/// Signs with each of the secrets.
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl Signer {
    /// With the secrets of the configuration.
    ///
    /// # Errors
    /// `Config`, where one cannot be a key.
    pub fn new(config: &WebhookConfig) -> Result<Self> {
        let hmac = |at| {
            let key = config.key(at)?;
            Hmac::new_from_slice(&key).map_err(|e| err!(Config, "signing_secrets[{at}]").because(e))
        };
        Ok(Self { keys: (0..config.signing_secrets.len()).map(hmac).collect::<Result<_>>()? })
    }

    /// The header `webhook-signature`; `None` without a secret. `timestamp` is in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let head = format!("{id}.{timestamp}.");
        let sign = |key: &Hmac<Sha256>| {
            let mac = key.clone().chain_update(head.as_bytes()).chain_update(body).finalize();
            format!("v1,{}", BASE64_STANDARD.encode(mac.into_bytes()))
        };
        let signatures: Vec<String> = self.keys.iter().map(sign).collect();
        (!signatures.is_empty()).then(|| signatures.join(" "))
    }
}

/// What names this request's events, the same at every attempt with the same events: an event's own id, or a digest of all ids.
pub fn request_id(part: &[Delivery], batched: bool) -> String {
    if let ([delivery], false) = (part, batched) {
        return delivery.event.id.to_string();
    }
    let ids = part.iter().fold(Sha256::new(), |digest, delivery| digest.chain_update(delivery.event.id));
    let hex: String = ids.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("batch_{hex}")
}
