# fpkit with its workflow, and a compiler, without which torch trains.
#
#   docker build --tag fpkit .
#   docker run --rm --volume "$PWD":/work fpkit snakemake --cores 8 figures
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

COPY . /fpkit
RUN pip install --no-cache-dir --constraint /fpkit/constraints.txt '/fpkit[workflow,kubernetes]'

WORKDIR /work
