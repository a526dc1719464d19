//! The figures against an independent computation, and what must hold for any scores.

mod properties;
mod reference;
