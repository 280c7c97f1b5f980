//! The catalogue of diagnostics behind `srlm explain`: a code, a title, and what it is about at length.

/// One kind of finding.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `E…` for errors, `W…` for warnings.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means, why it is so, and what to do.
    pub explanation: &'static str,
}

/// The entry of a code, in any case of letters.
pub fn explain(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

macro_rules! catalogue {
    ($($name:ident $code:literal $title:literal $explanation:literal)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*

        /// Every code, in order.
        pub static CODES: &[Code] =
            &[$(Code { code: $code, title: $title, explanation: $explanation }),*];
    };
}

catalogue! {
    SYNTAX "E001" "The text is not srlm here."
        "The parser expected something else at the marked place. The label lists what could stand there. Only the item \
         with the mistake is skipped; all others are checked as usual."
    MISSING_CLOSER "E002" "A bracket is never closed."
        "Every `{`, `[` and `(` needs its closing partner, of its own kind, inside the same item. The labels mark the \
         opening bracket and where the closing one was missed."
    UNOPENED "E003" "A closing bracket without an opening one."
        "No bracket of this kind is open at the marked place. Remove it, or add the opening one."
    EQUALS_FOR_COLON "E004" "`=` where a field needs `:`."
        "Fields of records and arguments of calls are written `name: value`. The sign `=` gives a name to a value: in \
         `let` and `pipeline` items and in blocks."
    SLASH_COMMENT "E005" "`//` does not start a comment."
        "A comment starts with `#` and runs to the end of the line; `##` before an item documents it."
    BAR_FOR_PIPE "E006" "`|` where `|>` is meant."
        "`value |> stage` applies a stage to a value. A single `|` only separates the texts of a union type."
    UNIT_APART "E007" "A number and its unit are apart."
        "Units touch their number: `64seqs`, `3epochs`, `24GiB`."
    UNKNOWN_UNIT "E008" "A unit that does not exist."
        "Units are: seqs · tok ktok Mtok Btok · epochs · steps · B KB MB GB TB KiB MiB GiB TiB · ms s min h d · % · pp."
    TOO_DEEP "E009" "Nested too deeply."
        "Brackets nest at most 48 levels. Give an inner part a name with `let`."
    NOT_AN_ITEM "E010" "Text outside of any item."
        "A file is a sequence of items. Each starts with `use`, `param`, `let`, `recipe`, `suite`, `pipeline`, `sweep`, \
         `compare` or `profile`."
    UNTERMINATED_TEXT "E011" "A text without closing quote."
        "A text stands in double quotes on one line. A line break inside it is written `\\n`, a quote `\\\"`."
    FOREIGN_OPERATOR "E012" "An operator of another language."
        "Logic is written `and`, `or`, `not`; values are compared with `==`; texts stand in double quotes; nothing is \
         `none`; powers do not exist."
    KEYWORD_AS_NAME "E013" "A keyword where a name is needed."
        "Keywords cannot name things. Choose another name."
    LET_IN_BLOCK "E014" "`let` inside a block."
        "Bindings inside the block of a recipe, a pipeline or a sweep are written `name = value`, without `let`."
    NUMBER_TOO_LARGE "E015" "A number that does not fit."
        "Whole numbers are 64 bits wide; real numbers must be finite."
    UNKNOWN_NAME "E020" "A name that is not defined."
        "The name is neither defined in this file, nor imported, nor a stage kind, a variant or a builtin function."
    UNKNOWN_FIELD "E021" "A field that does not exist."
        "The stage, variant or record has no field of this name. Fields are spelled as TRL and the papers do where \
         those agree."
    MISSING_FIELD "E022" "A required field is missing."
        "Fields without a default must be written."
    FIELD_TWICE "E023" "A field is written twice."
        "Each field is written once. To change a field that comes with a spread, write it after the spread."
    HIDDEN_FIELD "E024" "A spread hides a field written before it."
        "Fields are read from left to right and later ones win, so a spread that follows a field overrides it. Put the \
         spread first."
    DEFINED_TWICE "E025" "A name is defined twice."
        "Names of items and imports are unique within a file."
    CYCLE "E026" "Definitions that need each other."
        "Every value is computed before anything runs, so no definition may need itself, directly or by way of others."
    IMPORT_CYCLE "E027" "Files that import each other."
        "Move what both need into a third file."
    NO_SUCH_MODULE "E028" "A module or file that cannot be read."
        "`std.*` names the modules of the standard library. A file is named relative to the file that imports it and \
         lies inside the project."
    NOT_IN_MODULE "E029" "A module does not define this name."
        "The module exists, but has no item of this name."
    TYPE_MISMATCH "E030" "A value of another type is needed."
        "The place needs another type of value. Whole numbers become real numbers by themselves; nothing else converts."
    WRONG_INPUT "E031" "A stage is given what it cannot take."
        "A stage kind takes one type of value: `sft` a Model, `keep` a Dataset."
    AFTER_SCORES "E032" "A stage after Scores."
        "`evaluate` ends a pipeline: scores are numbers about a model, not a model. Evaluate on a separate pipeline if \
         the model goes on."
    NOT_A_STAGE "E033" "Not a stage."
        "`|>`, `>>`, `chain` and `repeat` work with stages: configured stage kinds, recipes whose first parameter is \
         open, and joins of these."
    NOT_CALLABLE "E034" "A value that cannot be called."
        "Only stage kinds, variants, recipes, stages and builtin functions take arguments."
    NO_MEMBER "E035" "No such part."
        "`value.name` reads a field of a record, an item of a module, or the label of an axis."
    BAD_OPERANDS "E036" "An operator does not work on these types."
        "Arithmetic works on numbers and on quantities of one dimension; rewards can be weighted and added."
    REWARD_CONSTANT "E037" "A number is added to a reward from the left."
        "`0.1 + correct` gives every completion 0.1 more, which changes no advantage: nearly always the weight \
         `0.1 * correct` is meant. A wanted offset is written on the right: `correct - 1.0`."
    OUT_OF_RANGE "E038" "A number outside the allowed range."
        "The field's documentation says which values make sense and why."
    BAD_ARGUMENTS "E039" "The arguments do not match."
        "The call has an argument too many, lacks one, or names one that does not exist."
    UNKNOWN_PARAM "E040" "A param that does not exist is set."
        "`-p name=value` and the file of `--params` set `param` items of the file that is run, and nothing else."
    PARAM_WITHOUT_VALUE "E041" "A param without a value."
        "A `param` without a default must be set with `-p name=value` or in the file of `--params`. A pipeline is built \
         as it stands, so each of its parameters needs a default."
    CONDITION_BROKEN "E042" "A param breaks its condition."
        "The `where` clause of the param does not hold for the value given."
    WITH_SETS_NOTHING "E043" "`with` sets a field that no part has."
        "On joined stages `with` sets a field in every part that has it. A field that none has is a mistake."
    WITH_NEEDS_FIELDS "E044" "`with` on something without fields."
        "`with` makes a changed copy of a record, a configured stage, a recipe or a join of these."
    PARAMS_FILE "E045" "A params file that cannot be used."
        "The file of `--params` is YAML or JSON: at its top a mapping from the names of params to their values."
    ELSEWHERE "E046" "A setting that is no field, on purpose."
        "Where and how the work is done, what is logged, and where results go must not change a result, so no stage has \
         a field for it: it belongs to a `profile`, the command line, the machine or the store."
    MISSING_COMMA "E047" "A comma is missing."
        "Arguments of calls and items of lists are separated by commas. Only the fields of a record in braces may do \
         without."
    EMPTY_SWEEP "E050" "A sweep without cells."
        "An axis has no values, or `skip when` leaves out every combination."
    SWEEP_TOO_LARGE "E051" "A sweep with too many cells."
        "A sweep has at most 10,000 cells."
    NOT_AN_ARTIFACT "E052" "Nothing that can be made."
        "Pipelines and sweeps end in a model, a dataset or scores."
    BAD_COMPARE "E053" "A compare that does not match its sweep."
        "`of` names a sweep, `metric` is `SUITE.BENCH.NUMBER`, `by` and `across` name its axes, and `baseline` the \
         labels of one row."
    BASELINE_SKIPPED "E054" "A baseline that was skipped."
        "The sweep has no cell at the baseline's coordinates, because `skip when` leaves it out."
    PROGRAM_TOO_LARGE "E055" "The program is too large."
        "Evaluating a file makes at most 1,000,000 values and 100,000 stages."
    PROFILE_VALUE "E056" "A profile holds plain values only."
        "Profiles say how to run and are never hashed, so they hold numbers, texts, lists and records, and no names."
    BAD_NUMBER "E057" "A computation without a result."
        "Division by zero, a number that does not fit, or a range whose step is zero."
    BAD_INDEX "E058" "An index outside of the list."
        "The items of a list are counted from 0."
    PROFILE_SETTING "E059" "A profile has no such setting."
        "A profile sets how to run: jobs, memory, gpus, retries and the like, for the whole run, for all stages \
         (`defaults`) or for some (`stages`, by the name of a stage or its kind). A setting that nothing reads would be \
         one that is silently not obeyed. `srlm doc profile` lists what there is."
    UNREADABLE_INPUT "E060" "A declared input cannot be read."
        "The file or folder that a stage names is missing or unreadable. Its content is part of the stage's key, so \
         nothing can be planned without it."
    NOT_BUILT "E061" "This version cannot run it yet."
        "The language has this stage, variant or field, and it is checked, planned and drawn; but this version does not \
         run it. A run refuses it before anything starts, and only where a stage that uses it would run. Choose another \
         target, or leave the field out."
    OTHER_TOKENIZER "E062" "Teacher and student have different tokenizers."
        "A loss over distributions (`kl`, `jsd`) compares the two models token by token, so both must mean the same by \
         every token: models of one family mostly do. `text(…)` learns from the teacher's words and takes any teacher. \
         Vocabularies of different sizes over one tokenizer are fine."
    MALFORMED_INPUT "E063" "A data file is malformed."
        "The message names the file, the line and what stands there. In a parquet file rows are counted in the place \
         of lines."
    OTHER_FORMAT "E064" "The rows have another format."
        "The first row of the file lacks the fields of the format asked for. The help names the formats that can read \
         it; `format: columns(prompt: \"…\", answer: \"…\")` reads any other."
    UNPINNED "E065" "A source on the Hub that is not held to its bytes."
        "A branch on the Hub can move, and then the same file would make another result. `srlm lock FILE` writes the \
         commit and the digests of every source into `srlm.lock`; a `rev` of 40 hexadecimal digits names a commit, too."
    LOCK_MISMATCH "E066" "A downloaded file is not the one in the lock."
        "`srlm.lock` holds size and digest of every file. One in the cache differs: remove it, and it is downloaded \
         again; or let `srlm lock --update` take over what the Hub has now."
    BAD_LOCK "E067" "The lock cannot be read."
        "`srlm.lock` is written by `srlm lock`. Where it is damaged, for example by a merge, remove it and lock again."
    NOT_ON_HUB "E068" "The Hub has no such source."
        "The repository, the revision, the split or the file is not there, or not shown without HF_TOKEN."
    BROKEN_PROGRAM "E069" "A defect of srlm."
        "The evaluated program contradicts itself. Please report it with the file that shows it."
    WORDS_ONLY "E070" "A loss over distributions, and a teacher behind a server."
        "`kl` and `jsd` need the teacher's whole distribution at every token. A server tells its words: `text(…)` learns \
         from those. A teacher whose weights are here, by `hf(…)` or `local(…)`, can teach by its distributions."
    BAD_SERVER "E071" "A server that cannot be reached as written."
        "`url` is the base of the calls, begins with http:// or https:// and mostly ends in /v1, and holds neither a user \
         nor a query; `key_env` and `url_env` are names of environment variables, in capitals, and never a key itself."
    NO_KEY "E072" "The key to a server is not there."
        "A stage that is to run asks a server whose `key_env` names an environment variable that is not set. Its value \
         is read there and nowhere else; it stands in no key, record or log."
    TOO_LARGE "E073" "A stage that needs more memory than there is."
        "Before a stage starts, srlm reckons how much memory it will need from its settings and the sizes of what goes \
         in. `srlm run` refuses a stage that cannot fit into the machine, or into the `memory` of the profile or the \
         command line, before anything runs; the help lists settings that would fit, each changed alone. Where you know \
         better, say what the stage takes: `memory` of the stage in a profile goes before the estimate."
    UNUSED "W001" "An item is never used."
        "Nothing that this file makes depends on the item. Remove it, or start its name with `_`."
    CANNOT_RUN_YET "W002" "Checked and planned, but it cannot run yet."
        "The stage, variant or field is part of the language, but this version does not run it: `srlm run` refuses with \
         E061 where a stage that uses it would run."
    KEY_NOT_SET "W003" "The key to a server is not set here."
        "The environment variable that `key_env` names is not set. `srlm run` refuses with E072 where a stage that asks \
         the server would run."
    TEST_IN_TRAINING "W010" "Test items inside the training data."
        "A model is trained on prompts that it is later tested on, so its score says little. Prompts count as equal \
         when their letters and digits are, whatever their case, spaces and punctuation. Take the items out, or test on \
         others."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_explained() {
        let mut codes: Vec<_> = CODES.iter().map(|entry| entry.code).collect();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
        assert!(codes[..codes.len() - 1].is_sorted());
        assert!(CODES.iter().all(|entry| entry.title.ends_with('.') && entry.explanation.len() > 30));
        assert_eq!(explain("e021").map(|entry| entry.code), Some(UNKNOWN_FIELD));
    }
}
