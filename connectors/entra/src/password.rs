//! Passwords that Entra accepts and that a person can copy without mistaking a character.

use latchkey_contract::Secret;

/// Characters of a password; Entra accepts 8 to 256 of at least three classes.
const LENGTH: usize = 36;

/// Without `I O l o 0 1` and without symbols that forms, shells or fonts mangle.
const CLASSES: [&[u8]; 4] = [b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghijkmnpqrstuvwxyz", b"23456789", b"!#%*+-=?@_"];

/// A password with every class in it, each character drawn evenly; a draw that lacks a class is thrown away whole,
/// so that no position is more predictable than another. About 217 bits.
pub(crate) fn password(random: &mut dyn FnMut(&mut [u8])) -> Secret<String> {
    let alphabet = CLASSES.concat();
    loop {
        let drawn = Secret::new((0..LENGTH).map(|_| char::from(pick(&alphabet, random))).collect::<String>());
        let has = |class: &[u8]| drawn.expose().bytes().any(|c| class.contains(&c));
        if CLASSES.iter().all(|class| has(class)) {
            return drawn;
        }
    }
}

/// One of `alphabet`, all equally likely: bytes beyond the last whole multiple are drawn again.
fn pick(alphabet: &[u8], random: &mut dyn FnMut(&mut [u8])) -> u8 {
    let fair = 256 - 256 % alphabet.len();
    loop {
        let mut byte = [0];
        random(&mut byte);
        let index = usize::from(byte[0]);
        if index < fair {
            return alphabet[index % alphabet.len()];
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::{SecureRandom as _, SystemRandom};

    use super::*;

    fn system(bytes: &mut [u8]) {
        SystemRandom::new().fill(bytes).unwrap();
    }

    #[test]
    fn every_password_is_long_mixed_and_readable() {
        for _ in 0..500 {
            let password = password(&mut system);
            let text = password.expose();
            assert_eq!(text.len(), LENGTH);
            for class in CLASSES {
                assert!(text.bytes().any(|c| class.contains(&c)), "a class is missing");
            }
            assert!(!text.contains(['I', 'O', 'l', 'o', '0', '1', '"', '\'', '<', '&', '\\', '`', '$', ' ']));
        }
    }

    #[test]
    fn no_character_is_favoured() {
        let alphabet = CLASSES.concat();
        let mut counts = [0_u32; 256];
        for byte in 0..=u8::MAX {
            let mut bytes = [byte, 0].into_iter();
            let drawn = pick(&alphabet, &mut |out| out[0] = bytes.next().unwrap());
            if usize::from(byte) < 256 - 256 % alphabet.len() {
                counts[usize::from(drawn)] += 1;
            }
        }
        let drawn: Vec<u32> = alphabet.iter().map(|c| counts[usize::from(*c)]).collect();
        assert!(drawn.iter().all(|n| *n == drawn[0]), "{drawn:?}");
    }
}
