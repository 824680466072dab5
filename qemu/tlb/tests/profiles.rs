//! Profiles: those that come with the crate are right, and a file with a mistake gets one clear line.

use tlb_model::model::{PROFILES, Profile};

#[test]
fn the_profiles_that_come_with_the_crate_are_right() {
    for name in ["neoverse_n1", "zen_2", "skylake", "sasid"] {
        let profile = Profile::built_in(name).expect("it is right");
        assert_eq!(profile.name, name);
        assert!(profile.cost_line().contains("walk_reference="), "{}", profile.cost_line());
    }
}

#[test]
fn sasid_is_a_neoverse_n1_but_for_shared_spaces() {
    let (one, other) = (Profile::built_in("neoverse_n1").expect("right"), Profile::built_in("sasid").expect("right"));
    assert_eq!((one.shared_spaces, other.shared_spaces), (0, 64));
    assert_eq!(one.costs, other.costs);
    let parts = |profile: &Profile| {
        profile.parts().into_iter().filter(|(name, _)| *name != "shared_spaces").collect::<Vec<_>>()
    };
    assert_eq!(parts(&one), parts(&other));
}

#[test]
fn what_no_source_confirms_is_marked() {
    let profile = Profile::built_in("neoverse_n1").expect("right");
    let costs = profile.cost_line();
    assert!(costs.starts_with("second_level_hit=3 walk=5? walk_reference=11? "), "{costs}");
    let parts = profile.parts();
    assert!(parts.contains(&("data", "48, fully associative: 4K, 16K, 64K, 2M, 512M".to_string())), "{parts:?}");
    assert!(parts.contains(&("walk_caches", "64, 4 ways: 2M, 1G, 512G?".to_string())), "{parts:?}");
}

#[test]
fn a_cost_can_be_set_by_name() {
    let mut profile = Profile::built_in("skylake").expect("right");
    assert_eq!(profile.set_cost("walk=77"), Ok(()));
    assert_eq!(profile.costs.walk, 77);
    let unknown = profile.set_cost("tea=1").expect_err("there is no such cost");
    assert!(unknown.starts_with("there is no cost tea; there are second_level_hit, walk, "), "{unknown}");
    assert_eq!(profile.set_cost("walk"), Err("walk is not like walk_reference=20".to_string()));
    assert_eq!(profile.set_cost("walk=-1"), Err("-1 is no number of cycles".to_string()));
}

#[test]
fn a_mistake_of_the_format_is_told_with_its_line() {
    let text = PROFILES.replacen("entries = 1280", "entries = many", 1);
    let line = text.lines().position(|line| line.contains("many")).expect("it is there") + 1;
    let error = Profile::find(&text, "sasid").expect_err("many is no number");
    assert!(error.starts_with(&format!("line {line}: ")), "{error}");
}

/// The profiles with one piece of text replaced, and what is said of that.
#[test]
fn a_mistake_in_a_file_gets_one_clear_line() {
    let mistakes = [
        (
            "ways = 5, pages",
            "ways = 7, pages",
            "profile neoverse_n1: second_level: 1280 entries in 7 ways do not make a power of two of sets",
        ),
        (
            "ways = 5, pages",
            "ways = 0, pages",
            "profile neoverse_n1: second_level: 1280 entries in 0 ways are not possible",
        ),
        (
            "entries = 1280",
            "entries = 80000",
            "profile neoverse_n1: second_level: 80000 entries in 5 ways are not possible",
        ),
        (
            r#""2M", "32M"] }"#,
            r#""2M", "32Q"] }"#,
            "`32Q` is no size of pages: it is a power of two and K, M, G or T, such as 4K",
        ),
        (
            r#""2M", "32M"] }"#,
            r#""2M", "33M"] }"#,
            "`33M` is no size of pages: it is a power of two and K, M, G or T, such as 4K",
        ),
        (r#""2M", "32M"] }"#, r#""2M", "2M"] }"#, "profile neoverse_n1: instruction: 2M is named twice"),
        (
            r#"["2M", "1G", "512G"]"#,
            r#"["2M", "4M"]"#,
            "profile neoverse_n1: walk_caches: no table translates 4M: it is 2M, 1G, 512G or 256T",
        ),
        ("second_level_hit = 3\n", "", "missing field `second_level_hit`"),
        ("second_level_hit = 3", "second_level_hit = -3", "invalid value: integer `-3`, expected u32"),
        ("second_level_hit = 3", "second_level_hit = ", ""),
        ("shared_spaces = 64", "shared_spaces = 65", "profile sasid: shared_spaces: 65 are more than 64"),
        (
            r#""shared_spaces", "costs.walk""#,
            r#""shared_spice", "costs.walk""#,
            "profile sasid: unverified: there is nothing called shared_spice",
        ),
        ("\ndata = [{", "\ndate = [{", "unknown field `date`, expected one of "),
        (
            "instruction = [{ entries = 48, ways = 48",
            "instruction = []\nx = [{ entries = 48, ways = 48",
            "unknown field `x`",
        ),
    ];
    for (right, wrong, said) in mistakes {
        let text = PROFILES.replacen(right, wrong, 1);
        assert_ne!(text, PROFILES, "{right} is in the file");
        let error = Profile::find(&text, "sasid").expect_err(wrong);
        // What the format itself refuses comes with a line.
        let error =
            error.strip_prefix("line ").and_then(|rest| rest.split_once(": ")).map_or(&*error, |(_, rest)| rest);
        assert!(error.starts_with(said) && !error.contains('\n'), "{wrong}: {error}");
    }
    let error = Profile::built_in("pentium").expect_err("there is none");
    assert_eq!(error, "there is no profile pentium; there are neoverse_n1, sasid, skylake, zen_2");
}
