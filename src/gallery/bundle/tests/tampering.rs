//! What was changed on its way is refused, and nothing that anybody can send makes the reader panic.

use std::collections::BTreeMap;

use age::secrecy::ExposeSecret as _;
use age::x25519;
use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::base::error::Kind;
use crate::gallery::command::SecretText;

/// Counts refusals by the first words of their message; fails when something is not refused.
#[derive(Default)]
struct Refusals(BTreeMap<String, u64>);

impl Refusals {
    fn add(&mut self, what: &str, result: Result<Opened>) {
        let message = result.expect_err(what).chain();
        let words: Vec<&str> = message.split_whitespace().take(6).collect();
        *self.0.entry(words.join(" ")).or_default() += 1;
    }

    fn print(&self, title: &str) -> u64 {
        let total = self.0.values().sum();
        eprintln!("{title}: {total} of {total} refused");
        self.0.iter().for_each(|(message, count)| eprintln!("  {count:6} {message} ..."));
        total
    }
}

/// One random change: a bit, a byte, a cut, a byte more, two ranges swapped, a range zeroed, a range twice.
fn mutate(rng: &mut Rng, bytes: &[u8]) -> (String, Vec<u8>) {
    loop {
        let mut broken = bytes.to_vec();
        let (at, to) = (rng.usize(..bytes.len()), rng.usize(..bytes.len()));
        let run = rng.usize(1..=64).min(bytes.len() - at.max(to));
        let kind = rng.u8(..8);
        match kind {
            0..=2 => broken[at] ^= 1 << rng.u8(..8),
            3 => broken[at] = rng.u8(..),
            4 => broken.truncate(at),
            5 => broken.insert(at, rng.u8(..)),
            6 => (0..run).for_each(|i| broken.swap(at + i, to + i)),
            _ => broken[at..at + run].fill(0),
        }
        if broken != bytes {
            return (format!("change {kind} at {at}"), broken);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_small_bundle_is_refused() {
    let bytes = written(&Content { lists: vec![], identities: vec![], ..sample(1, 0) });
    let mut refusals = Refusals::default();
    for bit in 0..bytes.len() * 8 {
        let mut broken = bytes.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        refusals.add(&format!("bit {bit}"), opened(&broken));
    }
    assert_eq!(refusals.print("every bit"), bytes.len() as u64 * 8);
}

#[test]
fn every_truncation_is_refused_and_so_is_anything_behind_the_end() {
    let bytes = written(&sample(1, 2));
    let mut refusals = Refusals::default();
    for length in 0..bytes.len() {
        refusals.add(&format!("{length} bytes"), opened(&bytes[..length]));
    }
    for more in [&b"\0"[..], b"\n", &bytes] {
        refusals.add("more", opened(&[&bytes, more].concat()));
    }
    refusals.print("truncations");
}

#[test]
fn ten_thousand_random_changes_of_a_signed_bundle_are_refused() {
    let (mut rng, mut refusals) = (Rng::with_seed(11), Refusals::default());
    let bytes = written(&sample(1, 8));
    assert!(opened(&bytes).is_ok());
    for _ in 0..10_000 {
        let (what, broken) = mutate(&mut rng, &bytes);
        refusals.add(&what, opened(&broken));
    }
    assert_eq!(refusals.print("a signed bundle"), 10_000);
}

#[test]
fn ten_thousand_random_changes_of_an_encrypted_bundle_are_refused() {
    let (mut rng, mut refusals) = (Rng::with_seed(12), Refusals::default());
    let age = x25519::Identity::generate();
    let identity = SecretText::new(age.to_string().expose_secret());
    let bytes = encrypt(&written(&sample(1, 4)), &[age.to_public().to_string()]).expect("encrypts");
    let receive = |bytes: &[u8]| receive(bytes, Some(&identity), &trust_hq);
    assert!(receive(&bytes).is_ok());
    for _ in 0..10_000 {
        let (what, broken) = mutate(&mut rng, &bytes);
        refusals.add(&what, receive(&broken));
    }
    assert_eq!(refusals.print("an encrypted bundle"), 10_000);
}

/// Each section of one bundle put into the other, of the same signer.
#[test]
fn sections_of_two_bundles_of_one_signer_cannot_be_mixed() {
    let mut another = sample(2, 4);
    another.header.generation += 1;
    another.lists[1].priority = 5;
    let (one, other) = (written(&sample(1, 4)), written(&another));
    let (mut refusals, from) = (Refusals::default(), Raw::of(&other));
    for section in 0..5 {
        let mut mixed = Raw::of(&one);
        match section {
            0 => mixed.header.clone_from(&from.header),
            1 => mixed.lists.clone_from(&from.lists),
            2 => mixed.identities.clone_from(&from.identities),
            3 => mixed.vectors.clone_from(&from.vectors),
            _ => mixed.crops.clone_from(&from.crops),
        }
        let signed_again = mixed.signed();
        for signature in [&one[one.len() - 64..], &other[other.len() - 64..]] {
            let mut mixed = signed_again.clone();
            let end = mixed.len() - 64;
            mixed[end..].copy_from_slice(signature);
            refusals.add(&format!("section {section}"), opened(&mixed));
        }
    }
    assert_eq!(refusals.print("mixed sections"), 10);
}

#[test]
fn a_signer_that_nobody_trusts_is_refused_with_what_to_do() {
    let bytes = write(&sample(1, 2), &key(2)).expect("a bundle");
    let refusal = opened(&bytes).expect_err("not trusted");
    let (message, signer) = (refusal.chain(), key(2).public());
    assert_eq!(refusal.kind(), Kind::Permission);
    assert!(message.contains(&format!("watchlistd gallery trust {signer} --label WHO")), "{message}");
    assert!(message.contains(&signer.fingerprint()), "{message}");
    assert!(open(&bytes, &|_| Some("them".to_owned())).is_ok());

    // Under the trusted signer's name, the signature is not that signer's.
    let mut forged = bytes.to_vec();
    forged[MAGIC.len()..MAGIC.len() + 32].copy_from_slice(key(1).public().as_bytes());
    assert_eq!(opened(&forged).expect_err("forged").kind(), Kind::Data);

    // A flipped bit in the key is damage, not a new signer to be trusted.
    let mut damaged = written(&sample(1, 2));
    damaged[MAGIC.len()] ^= 1;
    assert!(!opened(&damaged).expect_err("damaged").chain().contains("gallery trust"));
}

/// Whoever gets the box to sign something else has no bundle: Ed25519 over the bytes or over their hash is not enough.
#[test]
fn a_signature_without_the_domain_is_none() {
    use ed25519_dalek::Signer as _;
    use sha2::Digest as _;
    let bytes = written(&sample(1, 2));
    let (signed, _) = bytes.split_last_chunk::<64>().expect("a signature");
    let dalek = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    for message in [signed.to_vec(), sha2::Sha256::digest(signed).to_vec()] {
        let forged = [signed, &dalek.sign(&message).to_bytes()].concat();
        assert!(opened(&forged).expect_err("another domain").chain().contains("does not hold"));
    }
}

#[test]
fn what_is_no_bundle_is_told_apart() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "no bundle"),
        (b"{}", "no bundle"),
        (b"watchlistd-bundle 0\n", "no bundle"),
        (b"watchlistd-bundle 01\n", "no bundle"),
        (b"watchlistd-bundle 2\nanything", "reads format 1: upgrade"),
        (b"watchlistd-bundle 4000000000\n", "format 4000000000"),
        (b"watchlistd-bundle 1\n", "cut short"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "age --decrypt"),
    ];
    for (bytes, expected) in cases {
        let refusal = opened(bytes).expect_err(expected);
        assert_eq!(refusal.kind(), Kind::Data);
        assert!(refusal.chain().contains(expected), "{}", refusal.chain());
    }
}

#[test]
fn what_is_too_large_is_refused_unread() {
    // Pages that are never touched take no memory.
    let refusal = opened(&vec![0; MAX_BYTES + 1]).expect_err("too large");
    assert!(refusal.chain().contains("at most 1073741824"), "{}", refusal.chain());
    let endless = [b"age-encryption.org/v1\n".as_slice(), &b"-> x\n\n".repeat(100_000)].concat();
    let identity = SecretText::new(x25519::Identity::generate().to_string().expose_secret());
    let refusal = decrypt(&endless, &identity).expect_err("no end");
    assert!(refusal.chain().contains("at most 100 recipients"), "{}", refusal.chain());
}

/// A trusted signer with a fault: sections changed at random, and signed. Some still keep the rules; none brings the reader down.
#[test]
fn signed_nonsense_is_refused_or_read_and_never_panics() {
    let (mut rng, mut read, mut refusals) = (Rng::with_seed(13), 0, Refusals::default());
    let bytes = written(&sample(1, 3));
    for _ in 0..10_000 {
        let mut raw = Raw::of(&bytes);
        let section = match rng.u8(..8) {
            0..=2 => &mut raw.header,
            3 => &mut raw.lists,
            4..=6 => &mut raw.identities,
            _ => &mut raw.vectors,
        };
        let (what, broken) = mutate(&mut rng, section);
        *section = broken;
        match opened(&raw.signed()) {
            Ok(opened) => {
                assert!(check::content(&opened.content).is_ok(), "{what}");
                read += 1;
            }
            refused => refusals.add(&what, refused),
        }
    }
    eprintln!("signed nonsense: {read} still keep the rules");
    assert_eq!(refusals.print("signed nonsense") + read, 10_000);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(opened(&bytes).is_err());
    }

    #[test]
    fn arbitrary_age_files_never_panic(
        header in prop_oneof![proptest::collection::vec(any::<u8>(), 0..500), "(-> [ -~]{0,20}\n[A-Za-z0-9+/]{0,64}\n){0,4}".prop_map(String::into_bytes)],
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let identity = SecretText::new(x25519::Identity::generate().to_string().expose_secret());
        let file = [b"age-encryption.org/v1\n", &header[..], b"\n--- ", &body].concat();
        let refusal = decrypt(&file, &identity).expect_err("nonsense");
        prop_assert!(refusal.kind() != Kind::Usage, "{}", refusal.chain());
    }

    #[test]
    fn arbitrary_bytes_behind_the_magic_line_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(opened(&[MAGIC, &bytes].concat()).is_err());
    }

    /// The same, properly signed: so that what comes behind the signature's check is reached.
    #[test]
    fn arbitrary_signed_bytes_never_panic(
        tag in prop_oneof![Just(*b"HEAD"), any::<[u8; 4]>()],
        length in prop_oneof![0..100u64, any::<u64>()],
        bytes in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        let mut signed = [MAGIC, key(1).public().as_bytes(), &tag, &length.to_le_bytes(), &bytes].concat();
        write::sign(&mut signed, &key(1));
        let refusal = opened(&signed).expect_err("nonsense").chain();
        prop_assert!(refusal.contains("signed by \"headquarters\", and still wrong"), "{}", refusal);
    }
}
