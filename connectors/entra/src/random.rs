//! The system's randomness, for keys and for passwords that nobody is to know.

use ring::rand::{SecureRandom as _, SystemRandom};

/// The system's generator, in the shapes that callers ask for. None of those shapes can fail, so the first draw is
/// made where a failure can be reported.
#[derive(Debug)]
pub(crate) struct OsRandom(SystemRandom);

impl OsRandom {
    /// `None` when the system gives no randomness.
    pub(crate) fn new() -> Option<Self> {
        let random = SystemRandom::new();
        random.fill(&mut [0; 32]).ok()?;
        Some(Self(random))
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the system's generator has answered once and never stops afterwards");
    }
}

impl rsa::rand_core::RngCore for OsRandom {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill(bytes);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for OsRandom {}
