"""The examples of `--help` and docs/command-line.md, by command. Together they run in order, beside a model.yaml."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": (
        "paramgen init > first.yaml",
        "paramgen init --model llama -o llama.yaml",
    ),
    "build": (
        "paramgen build model.yaml -o model.safetensors",
        "paramgen build llama.yaml -o tiny-llama/ --set layers=2 --set width=64 --set vocabulary=1000",
        "paramgen build model.yaml -o shards/ --max-shard-size 200KB --dtype bfloat16",
        "paramgen init | paramgen build - -o first.safetensors --set layers=1",
    ),
    "plan": (
        "paramgen plan llama.yaml",
        "paramgen plan llama.yaml --depth 2 --sort bytes --max-shard-size 1GB",
        "paramgen plan model.yaml --flat --filter '*.weight' --layout torch",
    ),
    "explain": (
        "paramgen explain model.yaml head.weight",
        "paramgen explain llama.yaml model.layers.3.mlp.up_proj.weight --set width=64",
    ),
    "validate": ("paramgen validate model.yaml llama.yaml",),
    "digest": (
        "paramgen digest model.yaml -o model.safetensors",
        "paramgen digest model.yaml -o model.safetensors | sha256sum --check",
    ),
    "inspect": (
        "paramgen inspect model.safetensors --stats",
        "paramgen inspect tiny-llama --tree",
        "paramgen inspect tiny-llama --report tiny-llama.html",
        "paramgen inspect model.safetensors --hist --filter 'lstm.*'",
    ),
    "verify": (
        "paramgen verify model.safetensors",
        "paramgen verify model.safetensors --spec model.yaml --seed 42",
    ),
    "check": ("paramgen check tiny-llama",),
    "diff": (
        "paramgen diff model.yaml model.safetensors",
        "paramgen diff tiny-llama tiny-llama --ignore '*norm*'",
    ),
    "import": (
        "paramgen import model.safetensors -o again.yaml",
        "paramgen import model.safetensors --fit > fitted.yaml",
        "paramgen import tiny-llama/config.json --tiny -o tiny.yaml",
    ),
    "devices": ("paramgen devices",),
    "schema": ("paramgen schema > paramgen.schema.json",),
}
