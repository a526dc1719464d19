//! A folder of many pictures, made from the few that set-up fetched: each is cut, mirrored, brightened and encoded in its own way.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use watchlistd::image::codec;
use watchlistd::image::warp::stretch;
use watchlistd::types::frame::{Pixels, RgbImage};
use watchlistd::types::geometry::Size;

/// One face each; to how much of its size each is scaled, so that the face has some 80 pixels.
const PICTURES: [(&str, f32); 5] = [
    ("obama.jpg", 0.35),
    ("obama2.jpg", 0.29),
    ("obama3.jpg", 0.3),
    ("biden.jpg", 0.29),
    ("astronaut.png", 0.84),
];
/// Most pixels cut off a side.
const CUT: usize = 6;

/// The folder, and what is in it.
pub struct Album {
    _folder: tempfile::TempDir,
    pub root: PathBuf,
    /// For each person the hashes of the pictures, sorted.
    pub people: BTreeMap<String, Vec<String>>,
}

impl Album {
    /// `people` with `each` pictures.
    pub fn new(var: &Path, people: usize, each: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("album");
        let originals: Vec<RgbImage> =
            PICTURES.iter().map(|(name, scale)| original(var, name, *scale)).collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            let mut made = Vec::new();
            loop {
                let person = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if person >= people {
                    return made;
                }
                let name = format!("Person {person:03}");
                made.push((name.clone(), write_person(&root.join(name), &originals, person * each, each)));
            }
        };
        let people = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("made")).collect()
        });
        Self { _folder: folder, root, people }
    }

    pub fn root(&self) -> &str {
        self.root.to_str().expect("UTF-8")
    }

    /// A picture's bytes.
    pub fn any(&self) -> Vec<u8> {
        let path = self.root.join("Person 000/0000.jpg");
        fs::read(path).expect("there")
    }
}

fn original(var: &Path, name: &str, scale: f32) -> RgbImage {
    let picture = codec::read_image(&var.join("images").join(name)).expect("set-up fetched it");
    let side = |length: u32| (length as f32 * scale) as u32;
    stretch(&picture, Size::new(side(picture.size().width), side(picture.size().height))).expect("a size")
}

fn write_person(folder: &Path, originals: &[RgbImage], first: usize, each: usize) -> Vec<String> {
    fs::create_dir_all(folder).expect("made");
    let mut hashes: Vec<String> = (0..each)
        .map(|n| {
            let number = first + n;
            let mut bytes = variant(&originals[number % originals.len()], number / originals.len());
            // What follows a JPEG's end does not count, but no two files are the same.
            bytes.extend_from_slice(format!("{number}").as_bytes());
            fs::write(folder.join(format!("{n:04}.jpg")), &bytes).expect("written");
            Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect()
        })
        .collect();
    hashes.sort();
    hashes
}

/// The `n`-th way to cut, mirror, brighten and encode it.
fn variant(picture: &RgbImage, n: usize) -> Vec<u8> {
    let size = picture.size();
    let (left, top, mirrored) = (n % CUT, n / CUT % CUT, n.is_multiple_of(2));
    let (width, height) = (size.width as usize - CUT, size.height as usize - CUT);
    let brightness = 0.75 + (n % 11) as f32 * 0.04;
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let from = if mirrored { width - 1 - x } else { x };
            let at = ((y + top) * size.width as usize + from + left) * 3;
            data.extend(
                picture.data()[at..at + 3].iter().map(|&value| (f32::from(value) * brightness) as u8),
            );
        }
    }
    let cut = RgbImage::new(Size::new(width as u32, height as u32), data).expect("a picture");
    codec::encode_jpeg(&cut, 70 + (n % 26) as u8).expect("a JPEG")
}
