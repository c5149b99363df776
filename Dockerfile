# vidtrans on a CPU, from the wheel in dist/ (python -m build):
#
#   docker build --tag vidtrans .
#   docker run --rm --user "$(id -u)" --volume "$PWD:/work" vidtrans stylize clip.mp4 --look oil
#
# With CUDA: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130, and docker run --gpus all.
FROM python:3.13-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY dist/*.whl /tmp/wheel/
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.8,<2.14" \
    && wheel="$(echo /tmp/wheel/*.whl)" \
    && pip install --no-cache-dir "${wheel}[live]" \
    && rm -r /tmp/wheel \
    && install -d -m 1777 /work
# Any user may run it; what is kept for a user (models, compiled code) lies in the container, unless HOME is mounted.
ENV HOME=/tmp
USER 1000
WORKDIR /work
ENTRYPOINT ["vidtrans"]
CMD ["--help"]
