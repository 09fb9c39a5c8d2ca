//! The order of the layers, where each value came from, and how the formats agree.

mod common;

use ai_energy_config::Origin;
use common::{Folder, Settings, loader, yaml};
use serde_json::json;

#[test]
fn each_layer_wins_over_the_one_below_it() {
    let folder = Folder::new(&[
        (
            "c.yaml",
            "defaults: [{backend: g}]\nbackend:\n  endpoint: file\n  device: file\n  task: file\n  torch_dtype: file\n",
        ),
        ("backend/g.yaml", "model: group\nendpoint: group\n"),
    ]);
    let bound =
        ["device", "task", "torch_dtype"].map(|k| (k.to_uppercase(), format!("backend.{k}"))).to_vec();
    let loaded = folder
        .loader("c.yaml")
        .environment(bound, |var| Some(format!("env {var}")))
        .overrides(vec!["backend.task=argument".into(), "backend.torch_dtype=argument".into()])
        .flags(vec![("backend.torch_dtype".into(), "flag".into(), "--dtype".into())])
        .load::<Settings>()
        .unwrap_or_else(|e| panic!("{e}"));
    let backend = &loaded.value.backend;
    assert_eq!(backend.device_map, "auto");
    assert_eq!((backend.model.as_str(), backend.endpoint.as_str()), ("group", "file"));
    assert_eq!((backend.device.as_str(), backend.task.as_str()), ("env DEVICE", "argument"));
    assert_eq!(backend.torch_dtype, "flag");
    let file = |line| Origin::File { path: folder.path("c.yaml"), line };
    let group = Origin::Group { group: "backend".into(), path: folder.path("backend/g.yaml"), line: 1 };
    assert_eq!(loaded.origins["backend.device_map"], Origin::Default);
    assert_eq!(loaded.origins["backend.model"], group);
    assert_eq!(loaded.origins["backend.endpoint"], file(3));
    assert_eq!(loaded.origins["backend.device"], Origin::Environment { var: "DEVICE".into() });
    assert_eq!(loaded.origins["backend.task"], Origin::Override { text: "backend.task=argument".into() });
    assert_eq!(loaded.origins["backend.torch_dtype"], Origin::Flag { flag: "--dtype".into() });
}

#[test]
fn nothing_given_is_the_defaults_and_every_leaf_says_so() {
    let loaded = loader().load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value, Settings::default());
    assert_eq!(loaded.tree, serde_json::to_value(Settings::default()).unwrap());
    assert!(loaded.origins.values().all(|origin| *origin == Origin::Default));
    assert!(loaded.origins.contains_key("scenario.generate_kwargs.min_new_tokens"));
    assert!(loaded.origins.contains_key("backend.device_ids"));
    assert_eq!(loaded.file, None);
}

#[test]
fn the_tree_keeps_the_schemas_order_and_free_maps_the_writers() {
    let loaded =
        yaml("scenario:\n  reasoning_params: {zeta: 1, alpha: 2, mid: 3}\nbackend: {model: m}\nname: n\n");
    let loaded = loaded.unwrap_or_else(|e| panic!("{e}"));
    let keys: Vec<&String> = loaded.tree.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "backend", "scenario", "metrics", "reporter", "load", "output_dir"]);
    let params = loaded.tree["scenario"]["reasoning_params"].as_object().unwrap();
    assert_eq!(params.keys().collect::<Vec<_>>(), ["zeta", "alpha", "mid"]);
}

#[test]
fn maps_merge_and_lists_are_replaced() {
    let loaded = yaml("scenario: {generate_kwargs: {temperature: 0.5}}\nbackend: {device_ids: [1, 2]}\n");
    let value = loaded.unwrap_or_else(|e| panic!("{e}")).tree;
    let kwargs = json!({"max_new_tokens": 100, "min_new_tokens": 50, "temperature": 0.5});
    assert_eq!(value["scenario"]["generate_kwargs"], kwargs);
    assert_eq!(value["backend"]["device_ids"], json!([1, 2]));
}

#[test]
fn the_formats_say_the_same_and_know_their_lines() {
    let yaml = "name: \"caf\\u00e9\"\nbackend:\n  device_ids: [0, 1]\n  gpu_memory_utilization: 1e-1\n  max_memory:\n    0: 20GB\nload: {concurrency: 0x10}\n";
    let toml = "name = \"caf\\u00e9\"\n[backend]\ndevice_ids = [0, 1]\ngpu_memory_utilization = 1e-1\n[backend.max_memory]\n0 = \"20GB\"\n[load]\nconcurrency = 0x10\n";
    let json = "{\"name\": \"caf\\u00e9\",\n\t\"backend\": {\n\t\t\"device_ids\":\t[0,\r\n1],\n\"gpu_memory_utilization\": 1e-1,\n\"max_memory\": {\"0\": \"20GB\"}},\n\"load\": {\"concurrency\": 16}\n}";
    let folder = Folder::new(&[("c.yaml", yaml), ("c.toml", toml), ("c.json", json)]);
    let load = |name: &str| folder.loader(name).load::<Settings>().unwrap_or_else(|e| panic!("{name}: {e}"));
    let (y, t, j) = (load("c.yaml"), load("c.toml"), load("c.json"));
    assert_eq!(y.value.name, "café");
    assert_eq!(y.value.load.concurrency, 16);
    assert_eq!(y.value.backend.max_memory.as_ref().unwrap()[&0], "20GB");
    assert_eq!(y.tree, t.tree);
    assert_eq!(y.tree, j.tree);
    let line = |loaded: &ai_energy_config::Loaded<Settings>, key: &str| match &loaded.origins[key] {
        Origin::File { line, .. } => *line,
        other => panic!("{key}: {other}"),
    };
    let lines = |loaded| {
        [
            "name",
            "backend.device_ids",
            "backend.gpu_memory_utilization",
            "backend.max_memory.0",
            "load.concurrency",
        ]
        .map(|key| line(loaded, key))
    };
    assert_eq!(lines(&y), [1, 3, 4, 6, 7]);
    assert_eq!(lines(&t), [1, 3, 4, 6, 8]);
    assert_eq!(lines(&j), [1, 3, 5, 6, 7]);
}

#[test]
fn json_strings_keep_their_escapes_and_braces() {
    let folder = Folder::new(&[(
        "c.json",
        r#"{"name": "a \"quoted\" \\ back/\/slash } ] , \ud83d\ude00", "scenario": {"reasoning_params": {"k": [[], {}, -1.5e3, null, "x"]}}}"#,
    )]);
    let loaded = folder.loader("c.json").load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value.name, "a \"quoted\" \\ back//slash } ] , 😀");
    assert_eq!(loaded.tree["scenario"]["reasoning_params"]["k"], json!([[], {}, -1500.0, null, "x"]));
}

#[test]
fn a_json_file_may_name_its_schema_for_editors() {
    let folder = Folder::new(&[("c.json", "{\"$schema\": \"./schema.json\", \"name\": \"x\"}")]);
    let loaded = folder.loader("c.json").load::<Settings>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value.name, "x");
    assert_eq!(loaded.tree.get("$schema"), None);
}

#[test]
fn yaml_anchors_merge_keys_and_marks() {
    let loaded = yaml(
        "\u{feff}scenario:\r\n  generate_kwargs: &k {temperature: 0.1, top_p: 0.2}\r\n  reasoning_params:\r\n    <<: *k\r\n    top_p: 0.9\r\n    text: !!str 12\r\n    word: 'yes'\r\n    flag: Yes\r\n    long: |\r\n      two\r\n      lines\r\n",
    );
    let tree = loaded.unwrap_or_else(|e| panic!("{e}")).tree;
    let wanted = json!({"temperature": 0.1, "top_p": 0.9, "text": "12", "word": "yes", "flag": true, "long": "two\nlines\n"});
    assert_eq!(tree["scenario"]["reasoning_params"], wanted);
}

#[test]
fn empty_headings_set_nothing() {
    let loaded = yaml("backend:\nscenario:\n  generate_kwargs:\n  input_shapes:\nname: x\n")
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(loaded.value, Settings { name: "x".into(), ..Settings::default() });
    let empty = yaml("# nothing but a comment\n").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(empty.value, Settings::default());
    assert!(empty.notes[0].ends_with("c.yaml is empty"));
}

#[test]
fn bound_variables_are_read_when_they_are_set_and_typed_by_what_is_asked_for() {
    let bound = vec![
        ("NUM_SAMPLES".to_owned(), "scenario.num_samples".to_owned()),
        ("BENCHMARK_MODEL".to_owned(), "backend.model".to_owned()),
        ("EMPTY".to_owned(), "name".to_owned()),
        ("IDS".to_owned(), "backend.device_ids".to_owned()),
        ("EIGHT".to_owned(), "backend.load_in_8bit".to_owned()),
    ];
    let lookup = |var: &str| match var {
        "NUM_SAMPLES" => Some("25".to_owned()),
        "BENCHMARK_MODEL" => Some("7".to_owned()),
        "EMPTY" => Some(String::new()),
        "IDS" => Some("[0, 1]".to_owned()),
        "EIGHT" => Some("1".to_owned()),
        _ => None,
    };
    let value =
        loader().environment(bound, lookup).load::<Settings>().unwrap_or_else(|e| panic!("{e}")).value;
    assert_eq!((value.scenario.num_samples, value.backend.model.as_str()), (25, "7"));
    assert_eq!((value.name.as_str(), value.backend.load_in_8bit), ("benchmark", true));
    assert_eq!(value.backend.device_ids, common::DeviceIds::Many(vec![0, 1]));
}
