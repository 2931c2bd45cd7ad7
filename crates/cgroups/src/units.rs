//! Quantities with their unit in the type.

use std::fmt;

/// An amount of memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// That many KiB (1024 bytes), at most what fits.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// That many MiB, at most what fits.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// That many GiB, at most what fits.
    #[must_use]
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }
}

/// A time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

/// CPU shares as v1 and OCI count them: 2 to 262144, 1024 being the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuShares(pub u64);

/// A bound: a value, or none at all (`max` on v2, `-1` in OCI and in most v1 files).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit<T> {
    /// At most this.
    Value(T),
    /// No bound.
    Max,
}

impl<T> Limit<T> {
    /// The bound, if there is one.
    #[must_use]
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Max => None,
        }
    }

    /// The same bound in another unit.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Limit<U> {
        match self {
            Self::Value(value) => Limit::Value(f(value)),
            Self::Max => Limit::Max,
        }
    }
}

impl Limit<u64> {
    /// OCI's meaning: any negative number is no bound.
    #[must_use]
    pub fn from_oci(value: i64) -> Self {
        u64::try_from(value).map_or(Self::Max, Self::Value)
    }
}

impl<T> From<T> for Limit<T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

macro_rules! plain_display {
    ($($unit:ty),*) => {$(
        impl fmt::Display for $unit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
plain_display!(Bytes, Micros, CpuShares);

/// The major and minor number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number in the driver.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}
