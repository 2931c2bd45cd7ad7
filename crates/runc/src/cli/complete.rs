//! Shell completions, made from the table.

use std::fmt::Write as _;

use super::help::shown;
use super::{Argument, Command, Flag, GLOBAL_FLAGS, HELP, PROGRAM, Value};

/// The shells that there are completions for.
pub(crate) const SHELLS: &[&str] = &["bash", "fish", "zsh"];

/// What prints the ids of all containers, one a line.
const LIST_IDS: &str = "orlop-runc list -q 2>/dev/null";

/// The completion script for a shell.
pub(crate) fn script(shell: &str, commands: &[&Command]) -> Option<String> {
    match shell {
        "bash" => Some(bash(commands)),
        "fish" => Some(fish(commands)),
        "zsh" => Some(zsh(commands)),
        _ => None,
    }
}

/// Finds the command, then chooses by it and the word before or under the cursor.
fn bash(commands: &[&Command]) -> String {
    let mut text = format!("# bash completion for {PROGRAM}\n");
    text.push_str("_orlop_runc() {\n");
    text.push_str(
        "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n",
    );
    text.push_str("    local command= i\n");
    text.push_str("    for ((i = 1; i < COMP_CWORD; i++)); do\n");
    text.push_str("        case ${COMP_WORDS[i]} in\n");
    let with_value: Vec<_> = shown(GLOBAL_FLAGS)
        .filter(|flag| flag.value != Value::Switch)
        .flat_map(spellings)
        .collect();
    let _ = writeln!(text, "            {}) ((i++)) ;;", with_value.join("|"));
    text.push_str("            -*) ;;\n");
    text.push_str("            *) command=${COMP_WORDS[i]}; break ;;\n");
    text.push_str("        esac\n    done\n");
    text.push_str("    case $command:$previous in\n");
    bash_values(&mut text, "", GLOBAL_FLAGS);
    for command in commands {
        bash_values(&mut text, command.name, command.flags);
    }
    text.push_str("    esac\n    case $command:$word in\n");
    let names: Vec<_> = commands.iter().map(|command| command.name).collect();
    bash_words(&mut text, ":-*", &options(GLOBAL_FLAGS));
    bash_words(&mut text, ":*", &names.join(" "));
    for command in commands {
        bash_words(
            &mut text,
            &format!("{}:-*", command.name),
            &options(command.flags),
        );
        let case = format!("{}:*", command.name);
        match command.first_argument {
            Argument::Free => {}
            Argument::Choice(words) => bash_words(&mut text, &case, &words.join(" ")),
            Argument::Container => {
                let words = format!("COMPREPLY=($(compgen -W \"$({LIST_IDS})\" -- \"$word\"))");
                let _ = writeln!(text, "        {case}) {words} ;;");
            }
        }
    }
    let _ = write!(text, "    esac\n}}\ncomplete -F _orlop_runc {PROGRAM}\n");
    text
}

/// What may come after each option that has a value.
fn bash_values(text: &mut String, command: &str, flags: &'static [Flag]) {
    for flag in shown(flags).filter(|flag| flag.value != Value::Switch) {
        let names: Vec<_> = spellings(flag)
            .iter()
            .map(|spelling| format!("{command}:{spelling}"))
            .collect();
        let action = match flag.value {
            Value::Path(_) => {
                "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\"))".to_owned()
            }
            Value::Choice(words) => {
                format!(
                    "COMPREPLY=($(compgen -W '{}' -- \"$word\"))",
                    words.join(" ")
                )
            }
            Value::Text(_) | Value::Number(_) | Value::Switch => "COMPREPLY=()".to_owned(),
        };
        let _ = writeln!(text, "        {}) {action}; return ;;", names.join("|"));
    }
}

fn bash_words(text: &mut String, case: &str, words: &str) {
    let _ = writeln!(
        text,
        "        {case}) COMPREPLY=($(compgen -W '{words}' -- \"$word\")) ;;"
    );
}

fn fish(commands: &[&Command]) -> String {
    let mut text = format!("# fish completion for {PROGRAM}\ncomplete -c {PROGRAM} -f\n");
    for flag in shown(GLOBAL_FLAGS) {
        fish_flag(&mut text, "__fish_use_subcommand", flag);
    }
    for command in commands {
        let _ = writeln!(
            text,
            "complete -c {PROGRAM} -n __fish_use_subcommand -a {} -d {}",
            command.name,
            quoted(command.summary)
        );
        let condition = format!("'__fish_seen_subcommand_from {}'", command.name);
        for flag in shown(command.flags).chain([&HELP]) {
            fish_flag(&mut text, &condition, flag);
        }
        let arguments = match command.first_argument {
            Argument::Free => continue,
            Argument::Container => format!("({LIST_IDS})"),
            Argument::Choice(words) => words.join(" "),
        };
        let _ = writeln!(
            text,
            "complete -c {PROGRAM} -n {condition} -a {}",
            quoted(&arguments)
        );
    }
    text
}

fn fish_flag(text: &mut String, condition: &str, flag: &Flag) {
    let _ = write!(
        text,
        "complete -c {PROGRAM} -n {condition} -l {}",
        flag.name
    );
    if let Some(short) = flag.short {
        let _ = write!(text, " -s {short}");
    }
    match flag.value {
        Value::Switch => {}
        Value::Path(_) => text.push_str(" -r -F"),
        Value::Choice(words) => {
            let _ = write!(text, " -x -a {}", quoted(&words.join(" ")));
        }
        Value::Text(_) | Value::Number(_) => text.push_str(" -x"),
    }
    let _ = writeln!(text, " -d {}", quoted(flag.help));
}

fn zsh(commands: &[&Command]) -> String {
    let mut text = format!("#compdef {PROGRAM}\n\n_orlop_runc() {{\n");
    text.push_str("    local context state line\n    _arguments -C \\\n");
    for flag in shown(GLOBAL_FLAGS) {
        zsh_flag(&mut text, flag);
    }
    text.push_str("        '1:command:->command' '*::argument:->argument'\n");
    text.push_str("    case $state in\n    command)\n        local -a commands=(\n");
    for command in commands {
        let entry = format!("{}:{}", command.name, command.summary);
        let _ = writeln!(text, "            {}", quoted(&entry));
    }
    text.push_str("        )\n        _describe command commands ;;\n");
    text.push_str("    argument)\n        case $line[1] in\n");
    for command in commands {
        let _ = writeln!(text, "        {})\n            _arguments \\", command.name);
        for flag in shown(command.flags).chain([&HELP]) {
            zsh_flag(&mut text, flag);
        }
        let argument = match command.first_argument {
            Argument::Free => "*::argument:_default".to_owned(),
            Argument::Container => format!("1:container:($({LIST_IDS}))"),
            Argument::Choice(words) => format!("1:argument:({})", words.join(" ")),
        };
        let _ = writeln!(text, "        {} ;;", quoted(&argument));
    }
    text.push_str("        esac ;;\n    esac\n}\n\n_orlop_runc \"$@\"\n");
    text
}

fn zsh_flag(text: &mut String, flag: &Flag) {
    let value = match flag.value {
        Value::Switch => String::new(),
        Value::Path(what) => format!(":{what}:_files"),
        Value::Choice(words) => format!(":value:({})", words.join(" ")),
        Value::Text(what) | Value::Number(what) => format!(":{what}:"),
    };
    // Brackets and colons delimit in this notation.
    let help = flag
        .help
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:");
    for spelling in spellings(flag) {
        let _ = writeln!(
            text,
            "        {} \\",
            quoted(&format!("{spelling}[{help}]{value}"))
        );
    }
}

/// All options of a command, with the one that every command has.
fn options(flags: &'static [Flag]) -> String {
    let own_help = flags.iter().any(|flag| flag.name == HELP.name);
    let help = Some(&HELP).filter(|_| !own_help);
    shown(flags)
        .chain(help)
        .flat_map(spellings)
        .collect::<Vec<_>>()
        .join(" ")
}

fn spellings(flag: &Flag) -> Vec<String> {
    let short = flag.short.map(|short| format!("-{short}"));
    short
        .into_iter()
        .chain([format!("--{}", flag.name)])
        .collect()
}

/// Quoted for any of these shells.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
