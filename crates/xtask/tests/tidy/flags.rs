//! Documents and flags agree: the table is made from the definition, and no text names a flag
//! that the server does not have.

use std::fmt::Write as _;
use std::fs;

use hurricane::{Flag, consumer_flags, flags};

use crate::assert_none;
use crate::tree::{root, sources_with};

const TABLE: &str = "docs/flags.md";

#[test]
fn the_flag_table_is_current() {
    let path = root().join(TABLE);
    let current = table();
    if std::env::var_os("XTASK_WRITE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &current).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == current, "{TABLE} is not current; `cargo xtask docs` writes it");
}

#[test]
fn tables_of_flags_name_only_flags_that_exist() {
    let all = flags().into_iter().chain(consumer_flags());
    let known: Vec<String> = all.map(|flag| format!("--{}", flag.name)).collect();
    let mut breaches = Vec::new();
    for document in sources_with("md") {
        let rows = document.text.lines().filter_map(|line| line.strip_prefix("| `--"));
        for cell in rows.filter_map(|row| row.split(" | ").next()) {
            for name in cell.split("`--").map(name) {
                if !known.contains(&format!("--{name}")) {
                    breaches.push(format!("{}: there is no flag --{name}", document.path));
                }
            }
        }
    }
    assert_none(&breaches);
}

/// The name at the start of a text such as ``port PORT` ``.
fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

fn table() -> String {
    let mut text = String::from(
        "# Flags\n\n\
         Of `manage.py serve`, `hurricane serve` and every native service, but for those of a \
         project. Made from the \
         definition by `cargo xtask docs`.\n\n\
         The command line wins over Django settings of the variable's name, settings over the \
         environment. Durations are seconds, or carry a unit: `500ms`, `5s`, `2m`, `1h`.\n\n\
         | flag | variable | default | meaning |\n|---|---|---|---|\n",
    );
    let of_servers = flags();
    for flag in &of_servers {
        writeln!(text, "{}", row(flag)).unwrap();
    }
    let (shared, own): (Vec<Flag>, Vec<Flag>) = consumer_flags()
        .into_iter()
        .partition(|flag| of_servers.iter().any(|other| other.name == flag.name));
    text.push_str(
        "\n## Of `manage.py consume`\n\n\
         `AMQP_USER` and `AMQP_PASSWORD` are settings or variables only, because everybody can \
         read a command line.\n\n\
         | flag | variable | default | meaning |\n|---|---|---|---|\n",
    );
    for flag in own {
        writeln!(text, "{}", row(&Flag { needs_project: false, ..flag })).unwrap();
    }
    let shared: Vec<String> = shared.iter().map(|flag| format!("`--{}`", flag.name)).collect();
    writeln!(
        text,
        "\nThese mean the same as above, where `--probe-port` is 8001 unless it is given, a worker \
         is the consumer, and a request is a message: {}.",
        shared.join(", ")
    )
    .unwrap();
    text
}

fn row(flag: &Flag) -> String {
    let values = match flag.possible_values.as_slice() {
        [] => flag.value_name.clone(),
        values => values.join("|"),
    };
    let given = match (flag.is_switch, values) {
        (true, _) => format!("`--{}`", flag.name),
        (false, values) => format!("`--{} {}`", flag.name, values.replace('|', "\\|")),
    };
    let default = flag.default.as_ref().filter(|value| !value.is_empty());
    let default = default.map_or(String::new(), |value| format!("`{value}`"));
    let meaning = flag.help.replace('\n', " ").replace('|', "\\|");
    let whose = if flag.needs_project { "`manage.py serve` only: " } else { "" };
    format!("| {given} | `{}` | {default} | {whose}{meaning} |", flag.env)
}
