//! The console in a real browser: what people come for, on the sizes and
//! colours they come with, checked by axe and by what the browser complains of.

mod access;
mod hands;
mod hostile;
mod journeys;
mod looks;
mod many;
mod scene;
