//! Real people: from the similarities of pictures to the tracks of strangers.

use std::path::Path;

use crate::eval::random::Random;

/// Similarities of all pictures of a folder, and whose they are.
#[derive(Debug)]
pub struct Matrix {
    people: Vec<usize>,
    scores: Vec<Vec<f64>>,
}

impl Matrix {
    /// Reads what `watchlistd calibrate FOLDER --matrix FILE` writes: a line a picture, with the person's number and the similarity to each
    /// picture.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (mut people, mut scores) = (Vec::new(), Vec::new());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split_whitespace();
            let person = fields.next().and_then(|field| field.parse().ok());
            people.push(person.unwrap_or_else(|| panic!("{}: no number of a person", path.display())));
            scores.push(fields.map(|field| field.parse().expect("a score")).collect::<Vec<f64>>());
        }
        assert!(scores.iter().all(|row| row.len() == people.len()), "{}: not square", path.display());
        Self { people, scores }
    }

    /// Scores of two pictures of two people.
    pub fn non_mated(&self) -> Vec<f64> {
        let pairs = (0..self.people.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let other = pairs.filter(|(a, b)| self.people[*a] != self.people[*b]);
        other.map(|(a, b)| self.scores[a][b]).collect()
    }

    /// How many people there are.
    pub fn people(&self) -> usize {
        self.people.iter().max().map_or(0, |last| last + 1)
    }

    /// As [`Matrix::divided`], the strangers alone.
    pub fn strangers(&self, enrolled: usize, random: &mut Random) -> Vec<Vec<f64>> {
        self.divided(enrolled, random).1
    }

    /// Enrols some people by two pictures each. Everybody else is a stranger. A track is two pictures, fused; of a stranger its score is that
    /// of the best template, of a mate, whose other pictures they are, that of the best one of their own. For each mate, and for each
    /// stranger, the scores of all such tracks.
    pub fn divided(&self, enrolled: usize, random: &mut Random) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let mut people: Vec<usize> = (0..self.people()).collect();
        random.shuffle(&mut people);
        let of = |person: usize| (0..self.people.len()).filter(move |i| self.people[*i] == person);
        let templates: Vec<usize> = people[..enrolled].iter().flat_map(|p| of(*p).take(2)).collect();
        let tracks = |pictures: Vec<usize>, templates: &[usize]| -> Vec<f64> {
            let pairs = (0..pictures.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
            pairs.map(|(i, j)| self.fused(pictures[i], pictures[j], templates)).collect()
        };
        let mate =
            |person: &usize| tracks(of(*person).skip(2).collect(), &of(*person).take(2).collect::<Vec<_>>());
        let stranger = |person: &usize| tracks(of(*person).collect(), &templates);
        (people[..enrolled].iter().map(mate).collect(), people[enrolled..].iter().map(stranger).collect())
    }

    /// What two pictures as one score with the best of these templates.
    fn fused(&self, a: usize, b: usize, templates: &[usize]) -> f64 {
        let length = (2.0 + 2.0 * self.scores[a][b]).sqrt();
        let score = |t: &usize| (self.scores[a][*t] + self.scores[b][*t]) / length;
        templates.iter().map(score).fold(-1.0, f64::max)
    }
}
