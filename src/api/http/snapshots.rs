//! `/v1/snapshots/ID/face.jpg` and `scene.jpg`: the pictures that events refer to, for readers that may see them.
//!
//! ```text
//!   request ─▶ a reader's token? ─▶ may it see pictures? ─▶ a place of the reader's? ─▶ the gallery: on record, then the picture
//!               no: 401              no: 403                 429                         404: over, withdrawn, forgotten
//! ```
//!
//! An id is known from an event that the reader got, and is not to be guessed (74 bits of a UUIDv7 are random, RFC 9562, section 5.7): whoever has
//! it may see it.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::connection::Lease;
use super::events::{Refusal, known, refused, take_place};
use super::readers::{Reader, Readers};
use crate::base::error::Kind as ErrorKind;
use crate::gallery::outside::Kind;

/// `GET /v1/snapshots/ID/face.jpg`
pub(super) async fn picture(
    State(readers): State<Arc<Readers>>,
    ConnectInfo(lease): ConnectInfo<Lease>,
    Path((id, picture)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let shown = async {
        let reader = known(&readers, &headers)?;
        let asked = asked(reader, &id, &picture)?;
        let open = take_place(reader, &lease, std::time::Duration::ZERO)?;
        let jpeg = show(&readers, reader, asked).await;
        lease.answered();
        drop(open);
        jpeg
    };
    match shown.await {
        Ok(jpeg) => {
            let headers = [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")];
            (headers, jpeg).into_response()
        }
        Err(refusal) => refused(&readers, refusal),
    }
}

/// Which picture, if this reader may see any.
fn asked(reader: &Reader, id: &str, picture: &str) -> Result<(Uuid, Kind), Refusal> {
    if !reader.snapshots {
        let says = format!(
            "http.readers.{}.snapshots is not set in the configuration: this reader sees no pictures",
            reader.stats.name()
        );
        return Err(Refusal::new(StatusCode::FORBIDDEN, says));
    }
    let kind = Kind::ALL.into_iter().find(|kind| picture == format!("{kind}.jpg"));
    let kind = kind.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "expected /v1/snapshots/ID/face.jpg or /v1/snapshots/ID/scene.jpg",
        )
    })?;
    let id = id
        .parse()
        .map_err(|_| Refusal::bad("expected the id of a snapshot, as data.snapshot.id of an event"))?;
    Ok((id, kind))
}

/// The picture. Who looks is on record before it is given.
async fn show(readers: &Readers, reader: &Reader, (id, kind): (Uuid, Kind)) -> Result<Vec<u8>, Refusal> {
    let unavailable = |says: &str| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, says);
    let album = readers.album().ok_or_else(|| unavailable("the gallery is not open yet: ask again"))?;
    let (album, name) = (album.clone(), reader.stats.name().to_owned());
    // It waits for the gallery, and for the disk.
    let shown = tokio::task::spawn_blocking(move || album(&name, id, kind)).await;
    match shown {
        Ok(Ok(jpeg)) => Ok(jpeg),
        Ok(Err(error)) if error.kind() == ErrorKind::NoInput => {
            Err(Refusal::new(StatusCode::NOT_FOUND, error.to_string()))
        }
        Ok(Err(error)) => {
            tracing::warn!(reader = reader.stats.name(), error = error.chain(), "a snapshot cannot be shown");
            Err(unavailable("the snapshot cannot be shown now: ask again"))
        }
        Err(_) => Err(unavailable("the daemon ends")),
    }
}
