//! What goes in comes out.

use std::time::Instant;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::base::error::Kind;
use crate::gallery::command::SecretText;

fn age_identity() -> (SecretText, String) {
    let identity = x25519::Identity::generate();
    (SecretText::new(identity.to_string().expose_secret()), identity.to_public().to_string())
}

#[test]
fn several_models_many_scripts_and_crops_come_back_to_the_bit() {
    let content = sample(1, 50);
    let bytes = written(&content);
    let back = opened(&bytes).expect("opens");
    assert_eq!(back.content, content);
    for (one, other) in back.content.identities.iter().zip(&content.identities) {
        for (one, other) in one.templates.iter().zip(&other.templates) {
            assert_eq!(one.quality.to_bits(), other.quality.to_bits());
            let bits =
                |t: &BundledTemplate| t.embedding.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(one), bits(other));
        }
    }
    assert_eq!((back.signer, back.label.as_str()), (key(1).public(), "headquarters"));
    assert_eq!(written(&content), bytes, "the same content gives the same bytes");
    assert_eq!(written(&back.content), bytes, "and so does what came out");
}

#[test]
fn an_empty_gallery_is_a_bundle_too() {
    let content = Content { lists: vec![], identities: vec![], ..sample(1, 0) };
    assert_eq!(opened(&written(&content)).expect("opens").content, content);
}

/// Bytes of format 1 never change. The hash is that of a bundle which another program wrote (Python, with OpenSSL's Ed25519)
/// by the description of the format.
#[test]
fn format_1_is_what_its_description_says() {
    let id = |last: u128| Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + last);
    let model = model(1, 4);
    let source = Source { kind: SourceKind::File, name: "a.jpg".to_owned(), sha256: "ab".repeat(32) };
    let identity = BundledIdentity {
        id: IdentityId(id(1)),
        record: Record {
            external_id: Some(external("hr-1")),
            ..Record::new(Name::new("José").expect("a name"))
        },
        created: time(5),
        revision: 3,
        standing: Standing::Active,
        crops: vec![BundledCrop {
            source: source.sha256.clone(),
            media_type: MediaType::Png,
            bytes: Zeroizing::new(b"\x89PNG\r\n\x1a\nCROP".to_vec()),
        }],
        templates: vec![BundledTemplate {
            id: TemplateId(id(2)),
            quality: 0.5,
            source,
            created: time(6),
            embedding: Embedding::new(model.id, vec![1.0, 2.0, 3.0, 4.0]).expect("a vector"),
        }],
    };
    let content = Content {
        header: Header { origin: "hq".to_owned(), generation: 41, created: time(0), models: vec![model] },
        lists: vec![List::new(ListName::default())],
        identities: vec![identity],
    };
    let bytes = written(&content);
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((bytes.len(), hash.as_str()), GOLDEN);
}

const GOLDEN: (usize, &str) = (1193, "147ebc729a6842cb969e7babd2a587bf5effa0eeb1aac89b1468e66041d74aeb");

#[test]
fn an_encrypted_bundle_opens_with_each_of_its_identities_and_with_no_other() {
    let bytes = written(&sample(2, 12));
    let ((one, to_one), (two, to_two), (other, _)) = (age_identity(), age_identity(), age_identity());
    let encrypted = encrypt(&bytes, &[to_one, format!(" {to_two}\n")]).expect("encrypts");
    assert!(is_encrypted(&encrypted) && !is_encrypted(&bytes));
    let needle = "watchlistd-bundle".as_bytes();
    assert!(!encrypted.windows(needle.len()).any(|window| window == needle));

    let file = SecretText::new(format!("# created: today\n\n{}\n{}\n", other.expose(), two.expose()));
    for identity in [&one, &two, &file] {
        assert_eq!(*decrypt(&encrypted, identity).expect("decrypts"), bytes);
        assert_eq!(
            receive(&encrypted, Some(identity), &trust_hq).expect("opens"),
            opened(&bytes).expect("opens")
        );
    }
    assert!(receive(&bytes, Some(&one), &trust_hq).is_ok(), "an identity that is not needed does no harm");

    let refusal = decrypt(&encrypted, &other).expect_err("another's");
    assert_eq!(refusal.kind(), Kind::Permission);
    assert!(refusal.chain().contains("encrypted to others"), "{}", refusal.chain());
    for without in [receive(&encrypted, None, &trust_hq), opened(&encrypted)] {
        let refusal = without.expect_err("no identity");
        assert_eq!(refusal.kind(), Kind::Usage);
        assert!(refusal.chain().contains("--identity"), "{}", refusal.chain());
    }
}

#[test]
fn recipients_and_identities_that_are_none_are_refused_and_no_secret_is_repeated() {
    let (secret, recipient) = age_identity();
    let refused = |recipients: &[String]| {
        let refusal = encrypt(b"a bundle", recipients).expect_err("no recipient");
        assert_eq!(refusal.kind(), Kind::Usage);
        refusal.chain()
    };
    assert!(refused(&["age1nobody".to_owned()]).contains("recipient 1"));
    // It may be a passphrase that went into the wrong place.
    let message = refused(&[recipient.clone(), "correct horse".to_owned()]);
    assert!(message.contains("recipient 2") && !message.contains("horse"), "{message}");
    assert!(refused(&[]).contains("0 recipients"));
    assert!(refused(&vec![recipient.clone(); 101]).contains("101 recipients"));
    for form in [secret.expose().to_owned(), secret.expose().to_lowercase()] {
        let message = refused(&[recipient.clone(), form.clone()]);
        assert!(message.contains("secret") && !message.contains(&form[20..]), "{message}");
    }
    let encrypted = encrypt(b"a bundle", &[recipient]).expect("encrypts");
    for text in ["", "# only a comment", "AGE-SECRET-KEY-1NOTONE", "age1nobody"] {
        let refusal = decrypt(&encrypted, &SecretText::new(text)).expect_err(text);
        assert_eq!(refusal.kind(), Kind::Usage);
        assert!(!refusal.chain().contains("NOTONE"), "{}", refusal.chain());
    }
}

#[test]
fn as_many_recipients_as_are_allowed_can_be_read_again() {
    let identities: Vec<_> = (0..100).map(|_| age_identity()).collect();
    let recipients: Vec<_> = identities.iter().map(|(_, recipient)| recipient.clone()).collect();
    let encrypted = encrypt(b"a bundle", &recipients).expect("encrypts");
    assert_eq!(*decrypt(&encrypted, &identities[99].0).expect("decrypts"), b"a bundle");
}

#[test]
fn file_names_that_would_draw_on_a_terminal_travel_as_something_harmless() {
    let mut content = sample(3, 1);
    content.identities[0].templates[0].source.name = "a\u{1b}[31mb\n.jpg".to_owned();
    let back = opened(&written(&content)).expect("opens").content;
    assert_eq!(back.identities[0].templates[0].source.name, "a\u{fffd}[31mb\u{fffd}.jpg");
    let mut raw = Raw::of(&written(&content));
    raw.edit_identity(0, |line| line["templates"][0]["source"]["name"] = "c\u{9b}d".into());
    let back = opened(&raw.signed()).expect("opens").content;
    assert_eq!(back.identities[0].templates[0].source.name, "c\u{fffd}d");
}

#[test]
fn keys_are_told_by_their_text_and_no_seed_is_shown() {
    let public = key(1).public();
    assert_eq!(public.to_string().parse::<PublicKey>().expect("a key"), public);
    assert_eq!(
        format!(" {}\n", public.to_string().to_uppercase()).parse::<PublicKey>().expect("a key"),
        public
    );
    assert_eq!(serde_json::from_value::<PublicKey>(serde_json::json!(public)).expect("a key"), public);
    assert_eq!((public.fingerprint().len(), public.fingerprint().matches('-').count()), (39, 7));
    assert_ne!(public.fingerprint(), key(2).public().fingerprint());
    // Not on the curve; the neutral element, for which anybody can sign; not hexadecimal; too long.
    let neutral = format!("01{}", "00".repeat(31));
    for bad in ["", "zz", &"02".repeat(32), &neutral, &"é".repeat(32), &"00".repeat(33)] {
        assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
    }
    let shown = format!("{:?}", key(1));
    assert!(shown.contains("***") && !shown.contains("1, 1"), "{shown}");
}

/// RFC 8032's first vector: our public keys are Ed25519's.
#[test]
fn public_keys_are_those_of_rfc_8032() {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let seed = ModelId::from_hex(seed).expect("hex").0;
    let key = SigningKey::from_seed(&Key::from_bytes(&seed).expect("32 bytes"));
    assert_eq!(key.public().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
}

#[test]
fn nothing_that_is_printed_shows_a_vector_or_a_crop() {
    let mut content = sample(4, 1);
    let crop = &mut content.identities[0].crops[0];
    crop.bytes = Zeroizing::new([&b"\x89PNG\r\n\x1a\n"[..], &[201; 40]].concat());
    let bytes = written(&content);
    let opened = opened(&bytes).expect("opens");
    let plan = plan(&opened, &plan_rules::Box10::default().knowing(&content), false).expect("a plan");
    for shown in [format!("{opened:?}"), format!("{plan:?}"), format!("{:?}", plan.report(true))] {
        assert!(!shown.contains("201, 201"), "a crop");
        let vector = content.identities[0].templates[0].embedding.as_slice();
        for number in vector {
            assert!(!shown.contains(&format!("{number:?}")), "{number}");
        }
    }
}

/// `cargo test --release ... -- --ignored --nocapture figures_of_a_large_bundle`
#[test]
#[ignore = "a measurement; run it alone and optimised"]
fn figures_of_a_large_bundle() {
    let mut rng = Rng::with_seed(9);
    let models = vec![model(1, 512)];
    let three = [models[0].clone(), models[0].clone(), models[0].clone()];
    let identities = (0..10_000).map(|i| identity(&mut rng, NAMES[i % NAMES.len()], &three)).collect();
    let content = Content { header: Header { models, ..sample(9, 0).header }, identities, ..sample(9, 0) };

    let timed = |what: &str, megabytes: f64, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        eprintln!("{what}: {seconds:.3} s, {:.0} MB/s", megabytes / seconds);
    };
    let start = Instant::now();
    let bytes = write(&content, &key(1)).expect("a bundle");
    let megabytes = bytes.len() as f64 / 1e6;
    eprintln!("10,000 identities, 30,000 templates of 512 dimensions: {megabytes:.1} MB");
    timed("write", megabytes, start);
    let start = Instant::now();
    let opened = opened(&bytes).expect("opens");
    timed("open", megabytes, start);
    let (identity, recipient) = age_identity();
    let start = Instant::now();
    let encrypted = encrypt(&bytes, &[recipient]).expect("encrypts");
    timed("encrypt", megabytes, start);
    let start = Instant::now();
    let plain = decrypt(&encrypted, &identity).expect("decrypts");
    timed("decrypt", megabytes, start);
    let start = Instant::now();
    let plan = plan(&opened, &plan_rules::Box10::default().knowing(&content), false).expect("a plan");
    timed("plan", megabytes, start);
    assert!(*plain == *bytes && opened.content == content && plan.count(What::Added) == 10_000);
}

/// Writes a bundle for a reader in another language: `WATCHLISTD_BUNDLE=/tmp/sample.bundle cargo test ... -- --ignored`
#[test]
#[ignore = "writes a file where WATCHLISTD_BUNDLE says"]
fn a_sample_for_other_readers() {
    let Ok(path) = std::env::var("WATCHLISTD_BUNDLE") else {
        eprintln!("skipped: WATCHLISTD_BUNDLE is not set");
        return;
    };
    std::fs::write(&path, written(&sample(7, 12))).expect("written");
    eprintln!("{path}: signed by {}", key(1).public());
}
