//! Readers: from a written value to a typed one within its range.
//!
//! From the environment every value is text; it is taken for what the key expects.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::{Node, Raw, Wrong, expected, show_key};
use super::{AlertBudget, Threshold, file, units};
use crate::types::geometry::{Point, Size};

/// What a reader gives.
pub(super) type Read<T> = Result<T, Wrong>;

/// `true` or `false`.
pub(super) fn flag(node: &Node) -> Read<bool> {
    match &node.value {
        Raw::Bool(b) => Ok(*b),
        Raw::Text(text) if node.is_from_env() && text == "true" => Ok(true),
        Raw::Text(text) if node.is_from_env() && text == "false" => Ok(false),
        _ => expected("true or false"),
    }
}

/// A whole number in a range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&Node) -> Read<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |node| {
        let number = match &node.value {
            Raw::Whole(n) => Some(*n),
            Raw::Text(text) if node.is_from_env() => text.trim().parse().ok(),
            _ => None,
        };
        match number.and_then(|n| T::try_from(n).ok()).filter(|n| range.contains(n)) {
            Some(n) => Ok(n),
            None => expected(format!("a whole number from {} to {}", range.start(), range.end())),
        }
    }
}

/// How many: a whole number in a range.
pub(super) fn count(range: RangeInclusive<u32>) -> impl Fn(&Node) -> Read<usize> {
    let read = whole(range);
    move |node| read(node).map(|n| n as usize)
}

/// A number in a range.
pub(super) fn number(range: RangeInclusive<f32>) -> impl Fn(&Node) -> Read<f32> {
    move |node| match any_number(node).filter(|n| range.contains(n)) {
        Some(n) => Ok(n),
        None => expected(format!("a number from {} to {}", range.start(), range.end())),
    }
}

/// A number in a range, as exact as it was written.
pub(super) fn exact(range: RangeInclusive<f64>) -> impl Fn(&Node) -> Read<f64> {
    move |node| match any_exact(node).filter(|n| range.contains(n)) {
        Some(n) => Ok(n),
        None => expected(format!("a number from {} to {}", range.start(), range.end())),
    }
}

/// A similarity score, or a budget of false alerts a day that one follows from.
pub(super) fn threshold(node: &Node) -> Read<Threshold> {
    const WHAT: &str = "a number from 0 to 1, or { false_alerts_per_day = 1 }";
    let Raw::Table(table) = &node.value else {
        return match number(0.0..=1.0)(node) {
            Ok(score) => Ok(Threshold::Score(score)),
            Err(_) => expected(WHAT),
        };
    };
    let mut wrong = Vec::new();
    let mut of = |key: &str, from: f64, to: f64| {
        let value = table.get(key)?;
        let read = any_exact(value).filter(|n| (from..=to).contains(n));
        if read.is_none() {
            wrong.push(format!("{key}: expected a number from {from} to {to}, found {}", value.found()));
        }
        read
    };
    let per_day = of("false_alerts_per_day", 0.001, 1_000.0);
    let floor = of("floor", 0.0, 1.0).map(|floor| floor as f32);
    let known = |key: &&String| matches!(key.as_str(), "false_alerts_per_day" | "floor");
    wrong.extend(table.keys().filter(|key| !known(key)).map(|key| format!("{}: unknown key", show_key(key))));
    match per_day {
        Some(per_day) if wrong.is_empty() => Ok(Threshold::Budget(AlertBudget { per_day, floor })),
        None if wrong.is_empty() => expected(WHAT),
        _ => Err(Wrong::Says(wrong.join("; "))),
    }
}

fn any_number(node: &Node) -> Option<f32> {
    any_exact(node).map(|n| n as f32)
}

fn any_exact(node: &Node) -> Option<f64> {
    match &node.value {
        Raw::Whole(n) => Some(*n as f64),
        Raw::Number(n) => Some(*n),
        Raw::Text(text) if node.is_from_env() => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text that is not empty.
pub(super) fn text(node: &Node) -> Read<&str> {
    match &node.value {
        Raw::Text(text) if !text.is_empty() => Ok(text),
        _ => expected("a text that is not empty"),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let found = match &node.value {
            Raw::Text(text) => words.iter().find(|(word, _)| word == text),
            _ => None,
        };
        match found {
            Some((_, value)) => Ok(*value),
            None => {
                let names: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                expected(names.join(" or "))
            }
        }
    }
}

/// `word` for none, else what `read` takes.
pub(super) fn unless<T>(
    word: &'static str,
    read: impl FnOnce(&Node) -> Read<T>,
) -> impl FnOnce(&Node) -> Read<Option<T>> {
    move |node| match &node.value {
        Raw::Text(text) if text == word => Ok(None),
        _ => match read(node) {
            Ok(value) => Ok(Some(value)),
            Err(Wrong::Expected(what)) => expected(format!("{word:?} or {what}")),
            Err(says) => Err(says),
        },
    }
}

/// A duration in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Node) -> Read<Duration> {
    move |node| match parse(node, units::duration).filter(|d| range.contains(d)) {
        Some(d) => Ok(d),
        None => {
            let days = *range.end() > Duration::from_secs(86_400);
            let example = if days { "\"12h\" or \"30d\"" } else { "\"500ms\", \"5s\", \"2m\" or \"1h\"" };
            let (from, to) = (units::show_duration(*range.start()), units::show_duration(*range.end()));
            expected(format!("a duration from {from} to {to}, as {example}"))
        }
    }
}

/// A number of bytes in a range.
pub(super) fn bytes(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Read<u64> {
    move |node| match parse(node, units::bytes).filter(|n| range.contains(n)) {
        Some(n) => Ok(n),
        None => expected(format!(
            "a size from {} to {}, as \"512KiB\", \"100MiB\" or \"1GiB\"",
            units::show_bytes(*range.start()),
            units::show_bytes(*range.end())
        )),
    }
}

/// A detector's input. Multiples of 32, the largest stride of the detectors' feature maps: any other size would
/// leave a strip at the border that some of them do not look at.
pub(super) fn input_size(node: &Node) -> Read<Size> {
    let good = |side: u32| (64..=4096).contains(&side) && side.is_multiple_of(32);
    match parse(node, units::size).filter(|s| good(s.width) && good(s.height)) {
        Some(size) => Ok(size),
        None => expected("WIDTHxHEIGHT, each a multiple of 32 from 64 to 4096, as \"640x384\""),
    }
}

/// A path; a relative one starts from `base`.
pub(super) fn path(base: &Path) -> impl Fn(&Node) -> Read<PathBuf> {
    move |node| match &node.value {
        Raw::Text(text) if !text.is_empty() && !text.contains('\0') => Ok(base.join(text)),
        _ => expected("a path"),
    }
}

/// `[left, top, right, bottom]` in fractions; the whole picture is none.
pub(super) fn region(node: &Node) -> Read<Option<[f32; 4]>> {
    const WHAT: &str = "[left, top, right, bottom] with 0 <= left < right <= 1 and 0 <= top < bottom <= 1";
    let Some(numbers) = list(node).and_then(|items| fractions(&items)) else { return expected(WHAT) };
    let Ok([x1, y1, x2, y2]) = <[f32; 4]>::try_from(numbers) else { return expected(WHAT) };
    if x1 >= x2 || y1 >= y2 {
        return Err(Wrong::Expected(format!("{WHAT}; [{x1}, {y1}, {x2}, {y2}] is empty or inside out")));
    }
    Ok((([x1, y1, x2, y2]) != [0.0, 0.0, 1.0, 1.0]).then_some([x1, y1, x2, y2]))
}

/// Polygons: lists of `[x, y]` in fractions, of three corners or more and with an area.
pub(super) fn polygons(node: &Node) -> Read<Vec<Vec<Point>>> {
    let Some(items) = list(node) else { return expected("a list of polygons, each a list of [x, y]") };
    items.iter().enumerate().map(|(i, item)| polygon(item, i + 1)).collect()
}

fn polygon(node: &Node, number: usize) -> Read<Vec<Point>> {
    let Some(items) = list(node) else { return expected(format!("polygon {number} to be a list of [x, y]")) };
    let corners: Option<Vec<Point>> = items.iter().map(|item| corner(&list(item)?)).collect();
    let Some(corners) = corners else {
        return expected(format!("every corner of polygon {number} to be [x, y], each from 0 to 1"));
    };
    if corners.len() < 3 {
        return expected(format!("3 corners or more in polygon {number}; it has {}", corners.len()));
    }
    if area(&corners) < 1e-6 {
        return expected(format!("polygon {number} to have an area; its corners lie on one line"));
    }
    Ok(corners)
}

fn corner(items: &[Node]) -> Option<Point> {
    match fractions(items)?.as_slice() {
        [x, y] => Some(Point { x: *x, y: *y }),
        _ => None,
    }
}

/// Area of the corners' bounding triangles, unsigned: nought only where all corners lie on one line.
fn area(corners: &[Point]) -> f32 {
    let Some((first, rest)) = corners.split_first() else { return 0.0 };
    rest.windows(2)
        .map(|pair| match pair {
            [a, b] => ((a.x - first.x) * (b.y - first.y) - (b.x - first.x) * (a.y - first.y)).abs() / 2.0,
            _ => 0.0,
        })
        .sum()
}

fn fractions(items: &[Node]) -> Option<Vec<f32>> {
    items.iter().map(|item| any_number(item).filter(|n| (0.0..=1.0).contains(n))).collect()
}

/// A list of different things, each as `item` reads it; not empty.
pub(super) fn set<T: PartialEq>(
    what: &'static str,
    item: impl Fn(&Node) -> Read<T>,
) -> impl Fn(&Node) -> Read<Vec<T>> {
    let any = set_or_none(what, item);
    move |node| match any(node) {
        Ok(items) if items.is_empty() => expected(format!("a list of {what} that is not empty")),
        read => read,
    }
}

/// The same, which may be empty.
pub(super) fn set_or_none<T: PartialEq>(
    what: &'static str,
    item: impl Fn(&Node) -> Read<T>,
) -> impl Fn(&Node) -> Read<Vec<T>> {
    move |node| {
        let Some(nodes) = list(node) else { return expected(format!("a list of {what}")) };
        let mut items = Vec::new();
        for node in &nodes {
            let read = item(node).map_err(|wrong| of_item(wrong, node))?;
            if items.contains(&read) {
                return Err(Wrong::Says(format!("names {} twice", node.found())));
            }
            items.push(read);
        }
        Ok(items)
    }
}

/// What is wrong with one item of a list: the list itself says little.
fn of_item(wrong: Wrong, node: &Node) -> Wrong {
    match wrong {
        Wrong::Expected(what) => Wrong::Says(format!("expected {what}, found {}", node.found())),
        says => says,
    }
}

/// A list; from the environment it is written as in TOML.
fn list(node: &Node) -> Option<Vec<Node>> {
    match &node.value {
        Raw::List(items) => Some(items.clone()),
        Raw::Text(text) if node.is_from_env() => file::parse_list(text),
        _ => None,
    }
}

fn parse<T>(node: &Node, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    match &node.value {
        Raw::Text(text) => parse(text.trim()),
        _ => None,
    }
}
