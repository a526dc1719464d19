//! Parameters out of a state dictionary, by name and shape; what does not fit is noted, and told of in the end.

use std::collections::BTreeMap;

use super::Architecture;
use crate::bail;
use crate::base::error::Result;
use crate::infer::torch::StateDictionary;

/// How many names of a kind an error tells.
const TOLD: usize = 3;

/// Takes parameters out of a state dictionary.
pub(super) struct Parameters<'a> {
    given: &'a StateDictionary,
    expected: BTreeMap<String, Vec<usize>>,
    missing: Vec<String>,
    misshapen: Vec<String>,
    not_finite: Vec<String>,
}

impl<'a> Parameters<'a> {
    pub(super) fn of(given: &'a StateDictionary) -> Self {
        let (missing, misshapen, not_finite) = (Vec::new(), Vec::new(), Vec::new());
        Self { given, expected: BTreeMap::new(), missing, misshapen, not_finite }
    }

    /// The elements of a parameter. If it does not fit, that is noted and they are zeros, which `finish` lets nobody use.
    pub(super) fn take(&mut self, name: String, shape: &[usize]) -> Vec<f32> {
        let fitting = match self.given.get(&name) {
            None => {
                self.missing.push(format!("{name} {shape:?}"));
                None
            }
            Some(tensor) if tensor.shape() != shape => {
                self.misshapen.push(format!("{name} is {:?}, expected {shape:?}", tensor.shape()));
                None
            }
            Some(tensor) => {
                self.expect_finite(&name, tensor.values());
                Some(tensor.values().to_vec())
            }
        };
        self.expected.insert(name, shape.to_vec());
        fitting.unwrap_or_else(|| vec![0.0; shape.iter().product()])
    }

    /// As [`Parameters::take`], of numbers that may not be below zero.
    pub(super) fn take_variances(&mut self, name: String, count: usize) -> Vec<f32> {
        let variances = self.take(name.clone(), &[count]);
        if variances.iter().any(|variance| *variance < 0.0) {
            self.not_finite.push(format!("the root of {name}"));
        }
        variances
    }

    /// Notes a parameter, or what was made of it, that holds an infinite number or none.
    pub(super) fn expect_finite(&mut self, name: &str, values: &[f32]) {
        if !values.iter().all(|value| value.is_finite()) {
            self.not_finite.push(name.to_owned());
        }
    }

    /// All that was asked for.
    pub(super) fn expected(self) -> Vec<(String, Vec<usize>)> {
        self.expected.into_iter().collect()
    }

    /// All that was asked for was there, and nothing else but what the architecture ignores.
    ///
    /// # Errors
    /// `Data`, with the first few names of each kind.
    pub(super) fn finish(self, architecture: Architecture) -> Result<()> {
        let known = |name: &&str| self.expected.contains_key(*name) || architecture.ignores(name);
        let unexpected = self.given.names().filter(|name| !known(name)).map(str::to_owned).collect();
        let kinds = [
            ("missing: ", self.missing),
            ("of another shape: ", self.misshapen),
            ("not finite: ", self.not_finite),
            ("unexpected: ", unexpected),
        ];
        let mistakes: Vec<String> =
            kinds.into_iter().filter_map(|(kind, names)| told(kind, &names)).collect();
        if !mistakes.is_empty() {
            bail!(Data, "these are no weights of {}: {}", architecture.as_str(), mistakes.join("; "));
        }
        Ok(())
    }
}

/// The first few names, and how many more there are.
fn told(kind: &str, names: &[String]) -> Option<String> {
    let first = names.get(..TOLD.min(names.len())).filter(|first| !first.is_empty())?;
    let more = match names.len() - first.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{kind}{}{more}", first.join(", ")))
}
