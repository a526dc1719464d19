//! What a model's file tells of itself: role and family from the shapes of its outputs, size from its input.

use crate::bail;
use crate::base::error::Result;
use crate::infer::manifest::{DetectorOutputs, Family, RetinaFaceOutputs, ScrfdOutputs, YuNetOutputs};
use crate::infer::ort::{Port, Session};
use crate::types::geometry::Size;

/// Longest vector that is taken for an embedding, and the shortest.
const DIMENSIONS: std::ops::RangeInclusive<usize> = 16..=8192;

/// What can be seen of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// Name of the input.
    pub input: String,
    /// The size that the file fixes.
    pub size: Option<Size>,
    /// The batch that the file fixes.
    pub batch: Option<usize>,
    /// What it answers.
    pub answer: Answer,
}

/// What a model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Faces, as this family lays them out.
    Faces(Box<DetectorOutputs>),
    /// One vector a crop.
    Vector {
        /// The output's name.
        output: String,
        /// Its length.
        dimension: usize,
    },
}

impl Answer {
    /// The family of a detector; of an embedder the shape tells none.
    pub fn family(&self) -> Option<Family> {
        match self {
            Answer::Faces(outputs) => Some(match **outputs {
                DetectorOutputs::RetinaFace(_) => Family::RetinaFace,
                DetectorOutputs::YuNet(_) => Family::YuNet,
                DetectorOutputs::Scrfd(_) => Family::Scrfd,
            }),
            Answer::Vector { .. } => None,
        }
    }
}

impl Guess {
    /// Looks at an open model.
    ///
    /// # Errors
    /// `Data`, when it takes no pictures, or answers what no family answers, with what it answers.
    pub fn of(session: &Session) -> Result<Self> {
        Self::of_ports(session.input(), session.outputs())
    }

    fn of_ports(input: &Port, outputs: &[Port]) -> Result<Self> {
        let [batch, Some(3), height, width] = input.shape.as_slice() else {
            bail!(Data, "its input is {input}, expected pictures: [batch, 3, height, width]");
        };
        let side = |side: &Option<usize>| side.and_then(|side| u32::try_from(side).ok());
        let size = side(width).zip(side(height)).map(|(width, height)| Size::new(width, height));
        let Some(answer) = answer(outputs) else {
            let has: Vec<String> = outputs.iter().map(ToString::to_string).collect();
            bail!(
                Data,
                "no family answers {}; known are retinaface (3 outputs: 4, 2 and 10 numbers an anchor), yunet (12: 1, 1, 4 and 10 at three \
                 strides), scrfd (9: 1, 4 and 10 at three strides) and embedders (one vector a crop)",
                has.join(", ")
            );
        };
        Ok(Self { input: input.name.clone(), size, batch: *batch, answer })
    }
}

fn answer(outputs: &[Port]) -> Option<Answer> {
    if let [vector] = outputs {
        let dimension = vector.shape.iter().skip(1).copied().product::<Option<usize>>()?;
        let is_one = vector.shape.len() >= 2 && DIMENSIONS.contains(&dimension);
        return is_one.then(|| Answer::Vector { output: vector.name.clone(), dimension });
    }
    faces(outputs).map(|outputs| Answer::Faces(Box::new(outputs)))
}

fn faces(outputs: &[Port]) -> Option<DetectorOutputs> {
    let by_width = |width: usize| -> Vec<&Port> {
        outputs.iter().filter(|port| port.shape.last() == Some(&Some(width))).collect()
    };
    match (by_width(1).as_slice(), by_width(2).as_slice(), by_width(4).as_slice(), by_width(10).as_slice()) {
        ([], [scores], [boxes], [landmarks]) => Some(DetectorOutputs::RetinaFace(RetinaFaceOutputs {
            boxes: boxes.name.clone(),
            scores: scores.name.clone(),
            landmarks: landmarks.name.clone(),
        })),
        (scores @ [_, _, _], [], boxes, landmarks) => Some(DetectorOutputs::Scrfd(ScrfdOutputs {
            scores: by_stride(scores)?,
            boxes: by_stride(boxes)?,
            landmarks: by_stride(landmarks)?,
        })),
        (both @ [_, _, _, _, _, _], [], boxes, landmarks) => {
            let (classes, objects) = probabilities(both)?;
            Some(DetectorOutputs::YuNet(YuNetOutputs {
                classes: by_stride(&classes)?,
                objects: by_stride(&objects)?,
                boxes: by_stride(boxes)?,
                landmarks: by_stride(landmarks)?,
            }))
        }
        _ => None,
    }
}

/// YuNet's two probabilities have one shape; their names tell them apart, and where they do not the order does. The score is their
/// product's root: taking one for the other changes nothing.
fn probabilities<'p>(both: &[&'p Port]) -> Option<(Vec<&'p Port>, Vec<&'p Port>)> {
    let (objects, classes): (Vec<&Port>, Vec<&Port>) =
        both.iter().partition(|port| port.name.contains("obj"));
    if (classes.len(), objects.len()) == (3, 3) {
        return Some((classes, objects));
    }
    let (classes, objects) = both.split_at_checked(3)?;
    Some((classes.to_vec(), objects.to_vec()))
}

/// Strides 8, 16, 32: by the number of rows, where the file fixes it, else as the file has them.
fn by_stride(ports: &[&Port]) -> Option<[String; 3]> {
    let rows = |port: &Port| port.shape.iter().rev().nth(1).copied().flatten();
    let mut sorted = ports.to_vec();
    if sorted.iter().all(|port| rows(port).is_some()) {
        sorted.sort_by_key(|port| std::cmp::Reverse(rows(port)));
    }
    sorted.iter().map(|port| port.name.clone()).collect::<Vec<_>>().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, shape: &[usize]) -> Port {
        Port { name: name.to_owned(), shape: shape.iter().map(|&n| (n > 0).then_some(n)).collect() }
    }

    #[test]
    fn families_are_told_by_their_shapes_whatever_the_order() {
        let input = port("images", &[1, 3, 640, 640]);
        let outputs: Vec<Port> = [("a", 800, 1), ("b", 12800, 1), ("c", 3200, 1)]
            .into_iter()
            .chain([("d", 12800, 4), ("e", 3200, 4), ("f", 800, 4)])
            .chain([("g", 12800, 10), ("h", 3200, 10), ("i", 800, 10)])
            .map(|(name, rows, columns)| port(name, &[rows, columns]))
            .collect();
        let guess = Guess::of_ports(&input, &outputs).expect("SCRFD");
        assert_eq!((guess.size, guess.batch), (Some(Size::new(640, 640)), Some(1)));
        let Answer::Faces(outputs) = guess.answer else { panic!("{guess:?}") };
        let DetectorOutputs::Scrfd(scrfd) = *outputs else { panic!("{outputs:?}") };
        assert_eq!(scrfd.scores, ["b", "c", "a"]);
        assert_eq!(scrfd.landmarks, ["g", "h", "i"]);

        let names = ["obj_8", "obj_16", "obj_32", "cls_8", "cls_16", "cls_32"];
        let mut outputs: Vec<Port> = names.iter().map(|name| port(name, &[0, 0, 1])).collect();
        for (kind, columns) in [("bbox", 4), ("kps", 10)] {
            outputs.extend([8, 16, 32].map(|stride| port(&format!("{kind}_{stride}"), &[0, 0, columns])));
        }
        let guess = Guess::of_ports(&port("input", &[0, 3, 0, 0]), &outputs).expect("YuNet");
        assert_eq!((guess.size, guess.batch, guess.answer.family()), (None, None, Some(Family::YuNet)));
        let Answer::Faces(outputs) = guess.answer else { panic!("{guess:?}") };
        let DetectorOutputs::YuNet(yunet) = *outputs else { panic!("{outputs:?}") };
        assert_eq!((&yunet.classes[0], &yunet.objects[2]), (&"cls_8".to_owned(), &"obj_32".to_owned()));

        let outputs = [port("conf", &[0, 0, 2]), port("loc", &[0, 0, 4]), port("lm", &[0, 0, 10])];
        let guess = Guess::of_ports(&port("input", &[0, 3, 0, 0]), &outputs).expect("RetinaFace");
        assert_eq!(guess.answer.family(), Some(Family::RetinaFace));

        let guess =
            Guess::of_ports(&port("x", &[1, 3, 112, 112]), &[port("y", &[1, 512, 1, 1])]).expect("a vector");
        assert_eq!(guess.answer, Answer::Vector { output: "y".to_owned(), dimension: 512 });
    }

    #[test]
    fn what_is_no_model_of_faces_is_refused_with_what_it_is() {
        let words = port("tokens", &[1, 77]);
        let error = Guess::of_ports(&words, &[port("y", &[1, 512])]).expect_err("no pictures");
        assert!(error.to_string().contains("expected pictures"), "{error}");
        let pictures = port("x", &[0, 3, 224, 224]);
        for outputs in
            [vec![port("y", &[0, 2])], vec![port("a", &[0, 7]), port("b", &[0, 9])], vec![port("y", &[0])]]
        {
            let error = Guess::of_ports(&pictures, &outputs).expect_err("no family");
            assert!(error.to_string().contains(&outputs[0].name), "{error}");
        }
    }
}
