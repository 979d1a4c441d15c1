//! The integration matrix: every API line, every state of a pool and each change of it, every fault and every absence goes the whole way, from the configured
//! connection to what an operator, a client and an assistant are told. `cargo xtask certify` runs it and writes down what came out.

mod away;
mod fault;
mod faults;
mod heard;
mod journey;
mod lines;
mod shown;
mod states;
mod told;
mod ways;
