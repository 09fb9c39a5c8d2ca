//! What a user reads when something is wrong: every text here is a contract.

mod common;

use common::{Folder, arguments, loader, yaml_errors};

#[test]
fn a_misspelt_key_names_itself_its_line_and_the_nearest_one() {
    insta::assert_snapshot!(yaml_errors(
        "name: x\nbackend:\n  modle: y\nnum_samples: 5\nscenario:\n  dataset: d\n  generate_kwargs:\n    anything: goes\n  zzz: 1\n"
    ));
}

#[test]
fn types_ranges_and_choices_are_reported_together() {
    insta::assert_snapshot!(yaml_errors(
        "name: 2024\nbackend:\n  type: optimum\n  device_ids: [0, x]\n  load_in_8bit: maybe\n  gpu_memory_utilization: 1.5\n  \
         model: [a]\n  max_memory: {gpu0: 20GB, 1: 20}\nscenario:\n  num_samples: ten\n  input_shapes: {batch_size: 0}\n  \
         reasoning_params: high\n  truncation:\nmetrics: codecarbon\nload:\n  concurrency: \"4\"\noutput_dir: off\n"
    ));
}

#[test]
fn a_near_miss_of_a_choice_is_suggested() {
    insta::assert_snapshot!(yaml_errors("backend: {type: vlm}\n"));
}

#[test]
fn toml_and_json_errors_have_lines_too() {
    let folder = Folder::new(&[
        ("c.toml", "name = \"x\"\n\n[backend]\nmodel = \"m\"\nendpoit = \"y\"\n[load]\nconcurrency = -1\n"),
        (
            "c.json",
            "{\n\t\"backend\": {\n\t\t\"endpoit\": \"y\"},\n\t\"load\":\n\t\t{\"concurrency\": 1.5}\n}\n",
        ),
    ]);
    let toml = folder.errors(folder.loader("c.toml").load());
    let json = folder.errors(folder.loader("c.json").load());
    insta::assert_snapshot!(format!("{toml}\n\n{json}"));
}

#[test]
fn syntax_errors_have_lines() {
    let mut texts = Vec::new();
    for (name, text) in [
        ("a.yaml", "name: x\nbackend:\n\tmodel: y\n"),
        ("b.yaml", "name: x\nbackend: [1\nload: {}\n"),
        ("c.yaml", "name: x\nload: {concurrency: 1}\nname: y\n"),
        ("d.yaml", "- a\n- b\n"),
        ("e.yaml", "name: x\n---\nname: y\n"),
        ("f.yaml", "name: *nowhere\n"),
        ("g.yaml", "name: !!python/object:os.system x\n"),
        ("g2.yaml", "backend: !!python/object:os.system {a: 1}\n"),
        ("h.toml", "name = \"x\"\nname = \"y\"\n"),
        ("i.toml", "name = x\n"),
        ("j.json", "{\n  \"name\": \"x\",\n}\n"),
        ("k.json", "{\n  \"name\": \"x\",\n  \"name\": \"y\"\n}\n"),
        ("l.yaml", "backend: &b\n  model: *b\n"),
    ] {
        let folder = Folder::new(&[(name, text)]);
        let outcome = folder.loader(name).load::<common::Settings>();
        assert!(outcome.is_err(), "{name} loaded");
        texts.push(folder.errors(outcome));
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = Folder::new(&[("quick.yaml", ""), ("x.ini", ""), ("folder.yaml/inner.yaml", "")]);
    folder.write("latin1.yaml", b"name: x\noutput_dir: caf\xe9\n");
    let errors: Vec<String> = ["quik.yaml", "elsewhere.yaml", "x.ini", "folder.yaml", "latin1.yaml"]
        .iter()
        .map(|name| folder.errors(folder.loader(name).load()))
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(yaml_errors(&text).contains("more values than a configuration can need"));
    let deep = format!("name: {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    assert!(!yaml_errors(&deep).is_empty());
}

#[test]
fn arguments_environment_and_flags_are_named_as_the_place() {
    let folder = Folder::new(&[]);
    let outcome = loader()
        .overrides(vec![
            "backend.modle=x".into(),
            "scenario.num_samples=ten".into(),
            "nonsense".into(),
            "a..b=1".into(),
        ])
        .environment(vec![("BENCHMARK_BACKEND".into(), "backend.type".into())], |var| {
            (var == "BENCHMARK_BACKEND").then(|| "optimum".to_owned())
        })
        .flags(vec![("load.concurrency".into(), 0.into(), "--concurrency".into())])
        .load();
    insta::assert_snapshot!(folder.errors(outcome));
}

#[test]
fn malformed_arguments_say_what_is_wrong_with_them() {
    let folder = Folder::new(&[]);
    let errors: Vec<String> = [
        "x",
        "=1",
        "a b=1",
        "scenario.generate_kwargs={a:1",
        "scenario.generate_kwargs={a}",
        "backend.device_ids=[0,1",
        "name='x",
        "name=\"x\" y",
        "scenario.generate_kwargs={a:1,a:2}",
        "~nonsense",
        "~backend.modle",
        "a=[,]",
    ]
    .iter()
    .map(|argument| folder.errors(arguments(&[argument])))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_fault_that_another_layer_would_hide_is_still_told() {
    let folder = Folder::new(&[("c.yaml", "backend: vllm\n")]);
    let outcome = folder
        .loader("c.yaml")
        .environment(vec![("BENCHMARK_MODEL".into(), "backend.model".into())], |_| Some("m".into()))
        .load();
    let errors = folder.errors(outcome);
    assert_eq!(
        errors,
        "c.yaml:1: key `backend`: expected a map, found the string `vllm`\n  hint: did you mean `backend.type: vllm`?"
    );
}

#[test]
fn what_only_the_type_itself_can_judge_still_has_key_and_line() {
    #[derive(Debug, Default, serde::Serialize, schemars::JsonSchema)]
    struct Even(u32);
    impl<'de> serde::Deserialize<'de> for Even {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let value = u32::deserialize(from)?;
            if value % 2 == 0 { Ok(Self(value)) } else { Err(serde::de::Error::custom("must be even")) }
        }
    }
    #[derive(Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Outer {
        inner: std::collections::BTreeMap<String, Even>,
    }
    let folder = Folder::new(&[("c.yaml", "inner:\n  a: 2\n  b: 3\n")]);
    let schema = serde_json::to_value(schemars::schema_for!(Outer)).unwrap();
    let defaults = serde_json::to_value(Outer::default()).unwrap();
    let loader = ai_energy_config::Loader::new(defaults, schema).file(Some(folder.path("c.yaml")));
    let error = loader.load::<Outer>().map(|_| ()).unwrap_err().to_string();
    assert!(error.ends_with("c.yaml:3: key `inner.b`: must be even"), "{error}");
}
