//! `tideline bench`, in a folder of its own.

mod support;

use support::Home;

#[test]
fn a_benchmark_shows_its_figures_and_leaves_nothing_behind() {
    let home = Home::empty();
    let said = home.run(&[
        "bench",
        "--store",
        "mine.db",
        "--entities",
        "1000",
        "--jobs",
        "100",
        "--json",
    ]);
    let said = said.with_code(0);
    let figures = said.json();
    let figures = figures.as_array().unwrap();
    assert_eq!(figures.len(), 9);
    for figure in figures {
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{figure}");
    }
    let left: Vec<_> = std::fs::read_dir(home.path("")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
