//! What a module offers, as docs and editors are told.

use super::{Files, catalogue};
use crate::lang::outline::{ModuleOutline, outline, standard_library};

fn module(text: &str) -> ModuleOutline {
    let files = Files([("main.srlm".to_string(), text.to_string())].into());
    let done = outline("main.srlm", &files, &catalogue::catalogue());
    assert!(done.diagnostics.is_empty(), "{:?}", done.diagnostics);
    done.module.unwrap()
}

#[test]
fn items_are_told_with_types_values_and_docs() {
    let module = module(
        "# What this file is for.\n# In two lines.\nuse std.arith\n\n\
         ## How long.\nlet rounds = 2 * 30steps\n\
         ## Where to begin.\nparam base: Model = std.models.tiny()\n\
         param train: Path where train != \"\"\n\
         let warm = sft { data: arith.train, budget: rounds }\n\
         recipe twice(m: Model, n: Int = 4) { first = m |> warm\nreturn first |> warm }\n\
         suite exam { arith: bench(arith.test) }\n\
         pipeline p = base |> warm |> evaluate(exam)\n\
         sweep seeds { over seed in [1, 2]  return base |> (warm with { seed: seed }) |> evaluate(exam) }\n",
    );
    assert_eq!(module.doc.as_deref(), Some("What this file is for.\nIn two lines."));
    let signatures: Vec<String> = module.items.iter().map(|item| item.signature()).collect();
    assert_eq!(
        signatures,
        [
            "rounds : Steps",
            "base : Model = std.models.tiny()",
            "train : Path",
            "warm : Model -> Model",
            "twice(m: Model, n: Int = 4) -> Model",
            "exam : Suite",
            "p : Scores",
            "seeds : sweep over seed",
        ]
    );
    let rounds = &module.items[0];
    assert_eq!((rounds.doc.as_deref(), rounds.value.as_deref()), (Some("How long."), Some("60steps")));
    assert_eq!(rounds.written, "2 * 30steps");
    assert_eq!(module.items[2].condition.as_deref(), Some("train != \"\""));
    assert_eq!(module.items[4].written, "first = m |> warm\nreturn first |> warm");
}

#[test]
fn the_standard_library_is_documented() {
    let modules = standard_library(&catalogue::catalogue());
    assert!(modules.iter().any(|module| module.name == "std.models"));
    for module in &modules {
        let silent: Vec<&str> =
            module.items.iter().filter(|item| item.doc.is_none()).map(|item| item.name.as_str()).collect();
        assert!(silent.is_empty(), "{} does not document {silent:?}", module.name);
    }
}
