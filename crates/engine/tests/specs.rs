//! Every known shape is a model that the engine can describe, and of the size its makers say.

use ai_energy_engine::files::{self, FilesOptions, known_shapes, shape_config};
use ai_energy_engine::model::Spec;
use serde_json::Value;

#[test]
fn every_known_shape_has_the_parameters_its_makers_count() {
    for name in known_shapes() {
        let config = shape_config(name).unwrap();
        let spec =
            Spec::from_config(&config).unwrap_or_else(|error| panic!("{name}: {error}; {}", error.remedy));
        let path = format!("{}/shapes/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(Some(spec.parameters()), file["parameters"].as_u64(), "{name}");
        let open = files::open(name, &FilesOptions { no_weights: true, seed: 1 }).unwrap();
        let norm = &spec.final_norm.as_ref().unwrap().weight;
        assert!(open.weights.get(&norm.tensor, &norm.shape).is_ok(), "{name}");
    }
}
