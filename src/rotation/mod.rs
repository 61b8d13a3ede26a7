//! Values that are made of files, made anew when the files change, while requests go on.
//!
//! A [`Part`] is one text and how to read it, a [`Recipe`] makes a value of its parts, and a [`Watched`] is a recipe with what
//! was last made of it. [`Watches`] looks at all files about every second, in one task. The configuration makes the first
//! value by the same recipe, so what is good at start is good later, and nothing else is.
//!
//! Content is compared, never a time or a file's number: that holds for files that are written again, renamed into
//! their places, or changed by way of a link, as Kubernetes does it. Never logs a content, and never puts to use what is wrong:
//! the value in use stays.

mod part;
mod recipe;
mod watch;

pub use part::{Form, Part, Source, Trouble};
pub use recipe::{Fault, Recipe, Watched};
pub use watch::{PERIOD, Watches};
