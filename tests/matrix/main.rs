//! The integration matrix: every API line, every state of a pool and every fault goes the whole way, from the configured
//! connection to what an operator, a client and an assistant are told. `cargo xtask certify` runs it and writes down what came out.

mod fault;
mod faults;
mod journey;
mod lines;
mod states;
mod ways;
