# A small CPU image that serves an exported folder: ONNX Runtime and a web server, without PyTorch.
#
#     docker build -t tenfold-serve .
#     docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/exported/photos:/model:ro" -v "$PWD/corrections:/corrections" \
#         -e TENFOLD_TOKEN=choose-a-long-secret tenfold-serve
#
# The page is then http://localhost:8000/?token=choose-a-long-secret. See docs/serving.md.
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY constraints.txt ./
RUN pip install --constraint constraints.txt \
    filelock httptools lazy-loader markupsafe numpy onnxruntime pillow prometheus-client python-multipart starlette tomli-w typer uvicorn uvloop
COPY pyproject.toml README.md LICENSE ./
COPY tenfold tenfold
# Without its dependencies, which are for training.
RUN pip install --no-deps . && useradd --system --uid 10001 tenfold && install -d -o tenfold /corrections

USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
ENTRYPOINT ["tenfold", "serve"]
CMD ["/model", "--host", "0.0.0.0", "--corrections", "/corrections"]
