//! `docs/abi.md` says what the table of system calls says.

#[path = "../examples/document.rs"]
#[expect(dead_code, reason = "the example's own `main` is not called here")]
mod document;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/abi.md");

/// With `TESSERA_BLESS` in the environment the page is written anew instead of compared.
#[test]
fn the_abi_document_is_what_the_table_gives() {
    let wanted = document::document();
    if std::env::var_os("TESSERA_BLESS").is_some() {
        std::fs::write(PAGE, &wanted).expect("docs/abi.md can be written");
    }
    let found = std::fs::read_to_string(PAGE).expect("docs/abi.md can be read");
    let first_difference = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(
        found == wanted,
        "docs/abi.md is out of date (first difference: {first_difference:?}); write it anew with \
         `TESSERA_BLESS=1 ./x.py test --host abi_document`"
    );
}
