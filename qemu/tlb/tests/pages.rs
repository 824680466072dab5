//! The pages of the documentation are what their program prints.

use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tlb-pages");

#[test]
fn the_pages_are_what_the_program_prints() {
    for page in ["sasid", "tlb-model"] {
        let output = Command::new(PROGRAM).arg(page).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = format!("{}/../../docs/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let written = std::fs::read_to_string(&path).expect("the page is there");
        // The first line is the mark of `x.py figures`.
        let text = written.split_once('\n').map_or("", |(_, text)| text);
        assert!(text.as_bytes() == output.stdout, "docs/{page}.md is not what ./x.py figures {page} writes");
    }
}

#[test]
fn a_wrong_name_gets_one_line() {
    let output = Command::new(PROGRAM).arg("tea").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "tlb-pages: name one page: sasid or tlb-model\n");
    assert!(output.stdout.is_empty());
}
