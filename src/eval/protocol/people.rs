//! A folder of people: one sub-folder a person, with that person's pictures.

use std::path::{Path, PathBuf};

use super::is_picture;
use crate::bail;
use crate::base::error::{Error, Result};

/// A person, and where the pictures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The sub-folder's name.
    pub name: String,
    /// In the order of their names; at least one.
    pub pictures: Vec<PathBuf>,
}

/// The people of a folder, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People {
    /// Those with pictures.
    pub people: Vec<Person>,
    /// Files that are no pictures or lie beside the sub-folders, and sub-folders without pictures. Hidden ones do not count.
    pub passed_over: usize,
}

impl People {
    /// Lists `folder/<person>/*.{jpg,jpeg,png}`.
    ///
    /// # Errors
    /// `NoInput` and its kin, when the folder is none, cannot be read, or holds nobody.
    pub fn read(folder: &Path) -> Result<Self> {
        let shown = folder.display();
        if !folder.is_dir() {
            bail!(NoInput, "{shown}: no such folder; expected one with a sub-folder for each person");
        }
        let mut found = Self { people: Vec::new(), passed_over: 0 };
        for path in entries(folder)? {
            if !path.is_dir() {
                found.passed_over += 1;
                continue;
            }
            let (pictures, others): (Vec<_>, Vec<_>) =
                entries(&path)?.into_iter().partition(|path| path.is_file() && is_picture(path));
            found.passed_over += others.len() + usize::from(pictures.is_empty() && others.is_empty());
            if !pictures.is_empty() {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                found.people.push(Person { name, pictures });
            }
        }
        if found.people.is_empty() {
            bail!(
                NoInput,
                "{shown}: no sub-folder with pictures in it; expected a sub-folder for each person, with .jpg, .jpeg or .png files"
            );
        }
        Ok(found)
    }

    /// Refuses what nothing can be measured on.
    ///
    /// # Errors
    /// `Data`, where there is one person only, or nobody has two pictures.
    pub fn can_be_compared(&self, folder: &Path) -> Result<()> {
        let shown = folder.display();
        if let [only] = &self.people[..] {
            bail!(
                Data,
                "{shown}: only one person, {:?}; non-mated comparisons need two sub-folders with pictures at least",
                only.name
            );
        }
        if self.people.iter().all(|person| person.pictures.len() < 2) {
            bail!(Data, "{shown}: nobody has two pictures, so there is no mated comparison");
        }
        Ok(())
    }

    /// A line about what was passed over, if anything was.
    pub fn passed_over_note(&self, folder: &Path) -> Option<String> {
        let count = self.passed_over;
        (count > 0).then(|| {
            format!(
                "watchlistd: {}: {count} passed over: no pictures, beside the people's folders, or folders without a picture",
                folder.display()
            )
        })
    }

    /// How many pictures each has.
    pub fn counts(&self) -> Vec<usize> {
        self.people.iter().map(|person| person.pictures.len()).collect()
    }
}

/// What is not hidden, in the order of the names' bytes.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |cause| Error::io("read the folder", folder, cause);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Kind;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, b"").expect("written");
        }
        folder
    }

    #[test]
    fn each_sub_folder_is_a_person_and_the_rest_is_counted() {
        let folder = folder(&[
            "b/2.JPG",
            "b/1.png",
            "a/x.jpeg",
            "a/notes.txt",
            "stray.jpg",
            "c/.hidden.jpg",
            ".git/1.jpg",
        ]);
        let found = People::read(folder.path()).expect("people");
        let names: Vec<_> = found.people.iter().map(|p| (p.name.as_str(), p.pictures.len())).collect();
        assert_eq!(names, [("a", 1), ("b", 2)]);
        assert!(found.people[1].pictures[0].ends_with("b/1.png"));
        assert_eq!(found.passed_over, 3, "the notes, the stray picture, the folder without pictures");
        found.can_be_compared(folder.path()).expect("two people, two pictures of one");
    }

    #[test]
    fn what_nothing_can_be_measured_on_is_refused() {
        for (files, part) in [
            (&["a.jpg", "b.jpg"][..], "sub-folder for each person"),
            (&["a/1.txt"], "sub-folder for each person"),
            (&[], "sub-folder for each person"),
        ] {
            let folder = folder(files);
            let error = People::read(folder.path()).expect_err("nobody");
            assert!(error.kind() == Kind::NoInput && error.to_string().contains(part), "{error}");
        }
        let missing = People::read(Path::new("/nowhere/at/all")).expect_err("no folder");
        assert!(missing.to_string().contains("no such folder"), "{missing}");
        for (files, part) in
            [(&["a/1.jpg", "a/2.jpg"][..], "only one person"), (&["a/1.jpg", "b/1.jpg"], "two pictures")]
        {
            let folder = folder(files);
            let people = People::read(folder.path()).expect("people");
            let error = people.can_be_compared(folder.path()).expect_err("too few");
            assert!(error.kind() == Kind::Data && error.to_string().contains(part), "{error}");
        }
    }
}
