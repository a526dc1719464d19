use super::*;

fn bound() -> Bound {
    Bound::to("template").field([7; 16]).optional(Some("a")).optional(None::<&str>)
}

#[test]
fn what_is_sealed_opens_with_its_key_beside_its_fields_and_not_otherwise() {
    let (key, other) = (Key::generate().expect("random"), Key::generate().expect("random"));
    let sealed = seal(&key, &bound(), b"a template").expect("sealed");
    assert_eq!(sealed.len(), b"a template".len() + OVERHEAD);
    assert_eq!(open(&key, &bound(), &sealed).as_deref().map(Vec::as_slice), Some(&b"a template"[..]));
    assert!(open(&other, &bound(), &sealed).is_none());
    assert!(open(&key, &bound().field("more"), &sealed).is_none());
    assert!(open(&key, &Bound::to("crop").field([7; 16]), &sealed).is_none());
    assert!(open(&key, &bound(), &sealed[..OVERHEAD - 1]).is_none(), "cut short");
    assert_ne!(sealed, seal(&key, &bound(), b"a template").expect("sealed"), "a nonce serves once");
}

#[test]
fn any_flipped_bit_is_refused() {
    let key = Key::generate().expect("random");
    let sealed = seal(&key, &bound(), &[42; 64]).expect("sealed");
    for bit in 0..sealed.len() * 8 {
        let mut broken = sealed.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&key, &bound(), &broken).is_none(), "bit {bit}");
    }
}

#[test]
fn fields_do_not_run_into_each_other() {
    let encoded = |fields: &[&str]| {
        fields.iter().fold(Bound::to("x"), |bound, field| bound.field(field)).as_bytes().to_vec()
    };
    assert_ne!(encoded(&["ab", "c"]), encoded(&["a", "bc"]));
    assert_ne!(encoded(&["ab"]), encoded(&["ab", ""]));
    let missing = Bound::to("x").optional(None::<&str>);
    assert_ne!(missing.as_bytes(), Bound::to("x").optional(Some("")).as_bytes());
}

#[test]
fn a_wrapped_key_comes_back_and_no_key_is_ever_shown() {
    let (master, key) = (Key::generate().expect("random"), Key::generate().expect("random"));
    let wrapped = seal_key(&master, &bound(), &key).expect("wrapped");
    assert!(open_key(&master, &bound(), &wrapped) == Some(key.clone()));
    assert!(open_key(&master, &bound(), &seal(&master, &bound(), b"short").expect("sealed")).is_none());
    assert_eq!(format!("{key:?}"), "Key(***)");
}

/// RFC 5869 and RFC 4231 are RustCrypto's tests; ours is that the purposes give different keys, the same ones each time.
#[test]
fn derived_keys_differ_by_purpose_and_last() {
    let key = Key::from_bytes(&[9; 32]).expect("32 bytes");
    assert!(key.derive("wrap") == key.derive("wrap"));
    assert!(key.derive("wrap") != key.derive("audit"));
    assert_eq!(key.id(), Key::from_bytes(&[9; 32]).expect("32 bytes").id());
    assert_ne!(tag(&key, &Bound::to("a")), tag(&key, &Bound::to("b")));
    assert_ne!(tag(&key, &Bound::to("a")), tag(&key.derive("x"), &Bound::to("a")));
    assert!(Key::from_bytes(&[9; 31]).is_none());
}

/// The draft's own vector (A.3.1), through our framing: nonce, ciphertext, tag.
#[test]
fn it_is_xchacha20_poly1305() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
    };
    use chacha20poly1305::aead::{Aead, KeyInit, Payload};
    let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
    let nonce: [u8; 24] = std::array::from_fn(|i| 0x40 + i as u8);
    let text =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                 sunscreen would be it.";
    let cipher = chacha20poly1305::XChaCha20Poly1305::new(&key.into());
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: text, aad: &aad }).expect("sealed");
    assert_eq!(sealed[sealed.len() - 16..], hex("c0875924c1c7987947deafd8780acf49")[..]);
    assert_eq!(sealed[..8], hex("bd6d179d3e83d43b")[..]);
}
