//! What an operator should know of a gallery.

use std::fmt;

use crate::types::ids::{IdentityId, ModelId, TemplateId};

/// What an operator should know about a gallery that was loaded.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// Nobody can be recognised.
    Empty,
    /// Some templates were made by another model than the configured one.
    OtherModel {
        /// That model.
        model: ModelId,
        /// Its templates.
        templates: u64,
        /// The configured model.
        configured: ModelId,
    },
    /// A template of the configured model has another number of numbers, and is left out.
    Unfit {
        /// Whose it is.
        identity: IdentityId,
        /// Which.
        template: TemplateId,
        /// Numbers it has.
        dimension: usize,
        /// Numbers it should have.
        expected: usize,
    },
    /// The index that was asked for could not be used; exact search answers in its place.
    IndexRefused(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Empty => {
                f.write_str("the gallery is empty for the configured model: everyone is unknown")
            }
            Warning::OtherModel { model, templates, configured } => write!(
                f,
                "gallery holds {templates} templates of model {model}, the configured model is {configured}: re-enrol"
            ),
            Warning::Unfit { identity, template, dimension, expected } => write!(
                f,
                "template {template} of identity {identity} has {dimension} numbers, its model gives {expected}: it is not \
                 searched; remove it (watchlistd gallery remove-template {template}) and enrol the picture again"
            ),
            Warning::IndexRefused(why) => {
                write!(f, "searching exactly in place of the configured index: {why}")
            }
        }
    }
}
