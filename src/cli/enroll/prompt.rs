//! Asking the person at the terminal which of several faces is meant.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use crate::base::error::{Error, Kind, Result};
use crate::gallery::enrol::Seen;

/// True if somebody is there to be asked: questions go to standard error, answers come from standard input.
pub fn somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for one of the faces of a picture; `None`: none of them.
///
/// # Errors
/// `Io`, when the terminal cannot be read or written.
pub fn ask(path: &Path, faces: &[Seen]) -> Result<Option<usize>> {
    pick(path, faces, &mut io::stdin().lock(), &mut io::stderr().lock())
        .map_err(|e| Error::new(Kind::Io, "cannot ask at the terminal").because(e))
}

fn pick(
    path: &Path,
    faces: &[Seen],
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<Option<usize>> {
    // A file's name may hold what drives a terminal.
    let name: String = path.to_string_lossy().chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    writeln!(out, "{name}: {} faces, from left to right:", faces.len())?;
    for Seen { number, bbox, score } in faces {
        let (width, height, x, y) = (bbox.width(), bbox.height(), bbox.x1, bbox.y1);
        writeln!(out, "  {number:>2}  {width:.0}x{height:.0} pixels at {x:.0},{y:.0}, score {score:.2}")?;
    }
    writeln!(out, "(`watchlistd detect IMAGE --out boxes.png` draws them with these numbers.)")?;
    loop {
        write!(out, "Which one is it? 1 to {}, or Enter for none: ", faces.len())?;
        out.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(None);
        }
        match line.trim().parse::<usize>() {
            Ok(number) if faces.iter().any(|face| face.number == number) => return Ok(Some(number)),
            _ => writeln!(out, "{:?} is none of them.", line.trim())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::geometry::Rect;

    fn asked(typed: &str) -> (Option<usize>, String) {
        let face = |number: usize| Seen {
            number,
            bbox: Rect::new(100.0 * number as f32, 20.0, 100.0 * number as f32 + 80.0, 120.0),
            score: 0.9,
        };
        let mut shown = Vec::new();
        let path = Path::new("party\u{1b}.jpg");
        let chosen = pick(path, &[face(1), face(2)], &mut typed.as_bytes(), &mut shown).expect("no terminal");
        (chosen, String::from_utf8(shown).expect("UTF-8"))
    }

    #[test]
    fn a_number_chooses_and_enter_or_the_end_chooses_none() {
        assert_eq!(asked("2\n").0, Some(2));
        assert_eq!(asked(" 1 \n").0, Some(1));
        assert_eq!(asked("\n").0, None);
        assert_eq!(asked("").0, None);
    }

    #[test]
    fn the_faces_are_listed_and_a_wrong_answer_is_asked_again() {
        let (chosen, shown) = asked("0\nthe left one\n3\n1\n");
        assert_eq!(chosen, Some(1));
        assert!(shown.starts_with(
            "party?.jpg: 2 faces, from left to right:\n   1  80x100 pixels at 100,20, score 0.90\n"
        ));
        assert_eq!(shown.matches("Which one").count(), 4);
        assert!(shown.contains("\"the left one\" is none of them."));
    }
}
