//! Values that are written as one text: read by [`FromStr`], written by [`fmt::Display`].
//!
//! A visitor refuses them where they stand, so that [`crate::reading`] can tell the place; serde's
//! own `try_from` would refuse them one step later.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de;

/// Reads one `T`, which `expecting` describes after "must be".
pub(crate) struct AsText<T> {
    expecting: &'static str,
    value: PhantomData<T>,
}

impl<T> AsText<T> {
    pub(crate) const fn new(expecting: &'static str) -> Self {
        Self { expecting, value: PhantomData }
    }
}

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for AsText<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
    // Reached by `number_or_text` only: where a text is asked for, no number arrives.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! as_text {
    ($name:ident, $expecting:literal, $how:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.$how($crate::as_text::AsText::<$name>::new($expecting))
            }
        }
    };
    ($name:ident, $expecting:literal) => {
        $crate::as_text::as_text!($name, $expecting, deserialize_str);
    };
    ($name:ident, $expecting:literal, or a number) => {
        $crate::as_text::as_text!($name, $expecting, deserialize_any);
    };
}
pub(crate) use as_text;
