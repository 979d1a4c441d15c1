//! What contexts for AI are measured by: fleets, questions of operators, and how
//! many of the needed facts an answer has.

pub mod coverage;
pub mod fleets;
