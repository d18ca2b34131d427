"""In which order of degree does a transformer learn a sum of Walsh functions of its bits, x1 + x1 x2 + x1 x2 x3 + ...?

The loop is Hugging Face's own, `transformers.Trainer`: T. Wolf et al., EMNLP 2020 (system demonstrations),
https://github.com/huggingface/transformers, Apache-2.0. A tiny BERT of theirs, randomly initialized, is trained on some
of all strings of bits, and recorded on all of them. `pip install 'fpkit[figures,transformers]' torch`, then
`python docs/examples/trainer_walsh.py [FOLDER]`.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import torch
import transformers

import fpkit
from fpkit.transformers import FrequencyRecorder

SEEDS, STEPS, BATCH, LEARNING_RATE = range(6), 1000, 32, 2e-3
BITS, DEGREES, TRAINED_ON = 8, 4, 192  # strings, of 256
LEAD = 0.1  # decades of training
NETWORK = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128, "num_labels": 1,
    "hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0, "max_position_embeddings": BITS,
    "vocab_size": 3, "pad_token_id": 2,  # a token of its own: the two others are the bits
}  # fmt: skip


def tokens(signs):
    return (torch.as_tensor(signs) < 0).long()


def train(path, signs, y, chosen, seed):
    data = [{"input_ids": row, "labels": label} for row, label in zip(tokens(signs[chosen]), y[chosen], strict=True)]
    transformers.set_seed(seed)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**NETWORK))
    arguments = transformers.TrainingArguments(
        output_dir=path.parent, max_steps=STEPS, per_device_train_batch_size=BATCH, learning_rate=LEARNING_RATE,
        seed=seed, use_cpu=True, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    recorder = FrequencyRecorder(path, signs, y, member=seed, forward=lambda model, some: model(tokens(some)))
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=[recorder])
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()


def main(folder):
    torch.set_num_threads(1)
    signs = np.array(list(itertools.product([1, -1], repeat=BITS)), np.float32)
    y = np.cumprod(signs, axis=1)[:, :DEGREES].sum(axis=1)
    shuffled = np.random.default_rng(0).permutation(len(y))
    for seed in SEEDS:
        train(folder / f"trainer_{seed}.zarr", signs, y, shuffled[:TRAINED_ON], seed)
    run = fpkit.open_run(folder / "trainer_*.zarr", name="staircase")
    error = ((run["prediction"].isel(step=-1) - run["y"]) ** 2).isel(output=0)
    for part, some in (("training", shuffled[:TRAINED_ON]), ("held out", shuffled[TRAINED_ON:])):
        print(f"mean squared error at the end, {part}:", error.isel(sample=some).mean("sample").to_numpy().round(4))
    spectra = fpkit.measures.walsh(run, nulls=["share"])
    print(fpkit.judge(spectra, "lead", at_least=LEAD))
    print(fpkit.judge(spectra, "lead", at_least=LEAD, control="share"))
    for degree in range(1, DEGREES + 1):
        captured = spectra["first_passage"].sel(frequency=degree).median("member")
        print(f"degree {degree}: captured at step {float(captured):.0f}, median over seeds")
    fpkit.figures.order(spectra).savefig(folder / "trainer_walsh.png", dpi=200)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs"))
