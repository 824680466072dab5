//! The table of calls agrees with itself.

use tessera_abi::syscall::DESCRIPTIONS;
use tessera_abi::{Call, Error, Handle, Rights};

#[test]
fn the_table_is_dense_and_documented() {
    for (index, description) in DESCRIPTIONS.iter().enumerate() {
        assert_eq!(description.number, index as u64, "{}", description.name);
        let text = description.documentation.concat();
        assert!(text.contains("Errors:"), "{} documents no errors", description.name);
        assert!(text.contains("Returns"), "{} documents no result", description.name);
        assert!(description.arguments.len() <= 6);
    }
}

#[test]
fn every_call_survives_the_boundary() {
    for description in DESCRIPTIONS {
        let words = [0x11, 0x12, 0x13, 0x14, 0x15, 0x16];
        let call = Call::decode(description.number, words).expect("all words are valid");
        let (number, encoded) = call.encode();
        assert_eq!(number, description.number);
        assert_eq!(encoded[..description.arguments.len()], words[..description.arguments.len()]);
        assert_eq!(Call::decode(number, encoded), Ok(call));
    }
}

#[test]
fn unknown_numbers_and_rights_are_refused() {
    assert_eq!(Call::decode(DESCRIPTIONS.len() as u64, [0; 6]), Err(Error::BadCall));
    assert_eq!(Call::decode(u64::MAX, [0; 6]), Err(Error::BadCall));
    let derive = Call::CapabilityDerive { handle: Handle::NONE, rights: Rights::READ, badge: 0 };
    let (number, mut words) = derive.encode();
    words[1] = 1 << 31;
    assert_eq!(Call::decode(number, words), Err(Error::BadArgument));
    words[1] = 1 << 40;
    assert_eq!(Call::decode(number, words), Err(Error::BadArgument));
}
