"""NAS照片智能处理流水线

监控NAS目录并自动处理新照片

nas-photo-processing 1.0.0, compiled from nas-photo-processing-next.json.
Definition sha256:d4a9353e372b0b2cfe89dcf8e33be8e082fdd6d8f1075d70087a7d6e05b6e917
"""

from mirror_realm.flows import Retry, Run, flow, node, workflow

WORKFLOW = workflow(
    "nas-photo-processing",
    "1.0.0",
    title="NAS照片智能处理流水线",
    description="监控NAS目录并自动处理新照片",
    definition="sha256:d4a9353e372b0b2cfe89dcf8e33be8e082fdd6d8f1075d70087a7d6e05b6e917",
    source="nas-photo-processing-next.json",
    error_handling={"max_retries": 3, "retry_delay": 10, "on_failure": "notify-admin"},
    tags=["photos", "automation", "ai-processing"],
)

RETRY = Retry(max_attempts=4, initial=10, multiplier=1)

preprocess_01 = node(
    "preprocess-01",
    "image/preprocess",
    parameters={"format": "jpeg", "max_size": "4096x4096", "auto_rotate": True},
    retry=RETRY,
    at="nas-photo-processing-next.json:10:5",
)
enhance_01 = node(
    "enhance-01",
    "ai/image-enhance",
    parameters={
        "model": "realesrgan-x4plus",
        "scale_factor": 2,
        "denoise_strength": 0.3,
        "face_enhance": True,
    },
    retry=RETRY,
    at="nas-photo-processing-next.json:16:5",
)
archive_01 = node(
    "archive-01",
    "storage/minio",
    parameters={
        "bucket": "processed-photos",
        "path_template": "year={year}/month={month}/{filename}",
        "metadata": {"processed_by": "mirror-realm-amp"},
    },
    retry=RETRY,
    at="nas-photo-processing-next.json:22:5",
)


@flow(WORKFLOW)
async def nas_photo_processing(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        preprocess = run.start(preprocess_01)
        enhance = run.start(enhance_01, after=preprocess)
        run.start(archive_01, after=enhance)
    return run.output


if __name__ == "__main__":
    from mirror_realm.deployments.run import main

    main(nas_photo_processing)
