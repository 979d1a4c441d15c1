//! Questions to a view: filters, order, pages, masks and sums. Pure: a view
//! and a request go in, rows come out. Knows no gRPC and no clock.

pub mod changes;
pub mod filter;
#[cfg(test)]
#[allow(unreachable_pub, reason = "the integration tests include this file, too")]
pub(crate) mod fixture;
pub mod links;
pub mod list;
pub mod mask;
mod number;
pub mod order;
pub mod page;
pub mod put;
pub mod show;
pub mod sight;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod token;
pub(crate) mod value;
