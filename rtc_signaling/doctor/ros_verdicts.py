"""What the facts of ROS mean: the camera's topic, its QoS, its rate, and the middleware.

Pure: facts in, findings out.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtc_signaling.doctor.findings import Finding, Verdict, fail, ok, skip, warn

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_TYPE = 'sensor_msgs/msg/CompressedImage'
# What arrives of what was published; below, somebody sees the video stutter.
MIN_SHARE = 0.9
# Older, an image is no live picture any more; in the future, the clocks differ.
MAX_AGE_S = 1.0
MAX_AHEAD_S = 0.1
# A segment for large images has 32 MiB (config/fastdds_images.xml), each process has one.
MIN_SHARED_MEMORY_MIB = 64.0
LARGE_IMAGES = (
    'most large images are lost between processes by Fast DDS as it is: start the camera driver '
    'with FASTDDS_DEFAULT_PROFILES_FILE (Jazzy: FASTRTPS_DEFAULT_PROFILES_FILE) set to '
    'share/rtc_signaling/config/fastdds_images.xml'
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Hold a publisher or a subscription of the topic.

    Attributes:
        node: The node's full name.
        type_name: The messages' type.
        reliability: `reliable` or `best_effort`.
        durability: `volatile` or `transient_local`.
    """

    node: str
    type_name: str
    reliability: str
    durability: str

    def __str__(self) -> str:
        return f'{self.node} ({self.reliability}, {self.durability})'


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """Hold what was seen of the camera's topic.

    Attributes:
        topic: Its full name.
        waited_s: For how long was looked for publishers.
        middleware: The RMW implementation.
        domain_id: The ROS domain.
        discovery: How far is looked for others (ROS_AUTOMATIC_DISCOVERY_RANGE).
        publishers: Who publishes there.
        subscriptions: Who listens there, the doctor left out.
        mismatches: Pairs that cannot talk for their QoS, in words.
        received: Images that came to the doctor.
        lost: Images that the middleware says it has lost on their way there.
        window_s: For how long was listened.
        image: What they are, such as `640x480 bgr8`, or `jpeg compressed bgr8, 30 kB`.
        age_s: Age of the last one by its stamp; None if its stamp is 0.
        shared_memory_mib: Free shared memory; None where there is none to be seen.
    """

    topic: str
    waited_s: float
    middleware: str
    domain_id: int
    discovery: str
    publishers: tuple[Endpoint, ...] = ()
    subscriptions: tuple[Endpoint, ...] = ()
    mismatches: tuple[str, ...] = ()
    received: int = 0
    lost: int = 0
    window_s: float = 0.0
    image: str = ''
    age_s: float | None = None
    shared_memory_mib: float | None = None


def judge(facts: CameraFacts, video_came: bool) -> list[Finding]:
    """Judge all of it.

    Args:
        facts: What was seen.
        video_came: Whether a picture came through WebRTC meanwhile.
    """
    topic = judge_topic(facts, video_came)
    if topic.verdict is not Verdict.OK:
        reason = 'camera_topic has to be well first'
        return [topic, skip('qos', reason), skip('rate', reason), judge_dds(facts)]
    return [topic, judge_qos(facts), judge_rate(facts), judge_dds(facts)]


def judge_topic(facts: CameraFacts, video_came: bool) -> Finding:
    """Judge whether somebody publishes images on the topic."""
    tried = f'look for publishers of {facts.topic}'
    remap = 'or tell the topic: --topic NAME, and image_topic:=NAME for robot.launch.py'
    if not facts.publishers:
        seen = (
            f'nobody publishes there, nor compressed images beside it (looked for '
            f'{facts.waited_s:.0f} s, in domain {facts.domain_id})'
        )
        if video_came:
            return warn(
                'camera_topic',
                tried,
                f'{seen}; but video comes',
                'the camera is in another domain, namespace or network: set ROS_DOMAIN_ID as '
                f'camera_sender has it, {remap}',
            )
        return fail('camera_topic', tried, seen, f'start the camera driver, {remap}')
    types = {publisher.type_name for publisher in facts.publishers}
    if not types & {IMAGE_TYPE, COMPRESSED_TYPE}:
        return fail(
            'camera_topic',
            tried,
            f'{", ".join(sorted(types))} from {_names(facts.publishers)}',
            f'camera_sender takes {IMAGE_TYPE} or {COMPRESSED_TYPE}: {remap}',
        )
    seen = (
        f'{_names(facts.publishers)} publishes, {_names(facts.subscriptions) or "nobody"} listens'
    )
    if IMAGE_TYPE not in types:
        seen += '; compressed images, for image_transport:=compressed'
    if len(facts.publishers) > 1:
        seen += '; there is more than one publisher: their pictures take turns'
    return ok('camera_topic', tried, seen)


def judge_qos(facts: CameraFacts) -> Finding:
    """Judge whether publishers and subscriptions can talk to each other."""
    tried = 'compare the QoS of publishers and subscriptions'
    if facts.mismatches:
        return fail(
            'qos',
            tried,
            '; '.join(facts.mismatches),
            'make the publisher reliable, or the subscription best effort',
        )
    if not facts.subscriptions:
        return warn(
            'qos',
            tried,
            f'{facts.publishers[0]}; nobody listens but the doctor',
            'start camera_sender, or remap its camera/image_raw to this topic (compressed images: '
            'image_transport:=compressed)',
        )
    return ok('qos', tried, f'{_list(facts.publishers)} to {_list(facts.subscriptions)}')


def judge_rate(facts: CameraFacts) -> Finding:
    """Judge how many images arrive, and how old they are."""
    tried = f'receive images for {facts.window_s:.1f} s, best effort'
    published = facts.received + facts.lost
    if not published:
        return fail('rate', tried, 'none', 'the camera driver runs but sends nothing: see its log')
    rate_hz = facts.received / facts.window_s
    seen = f'{rate_hz:.1f} Hz of {facts.image}' if facts.received else 'none'
    if facts.received < MIN_SHARE * published:
        lost = f'{seen}; {facts.lost} of {published} were lost on their way'
        return warn('rate', tried, lost, LARGE_IMAGES)
    if facts.age_s is None:
        return warn('rate', tried, f'{seen}, without a time', 'let the driver set header.stamp')
    if not -MAX_AHEAD_S <= facts.age_s <= MAX_AGE_S:
        words = f'{facts.age_s:.1f} s old' if facts.age_s > 0 else f'{-facts.age_s:.1f} s ahead'
        return warn(
            'rate',
            tried,
            f'{seen}, {words} by their stamps',
            'set the clocks by NTP, or use_sim_time where time is simulated or a bag is played',
        )
    return ok('rate', tried, f'{seen}, {facts.age_s * 1000:.0f} ms old')


def judge_dds(facts: CameraFacts) -> Finding:
    """Judge the middleware's set-up."""
    tried = 'look at the middleware'
    seen = f'{facts.middleware}, domain {facts.domain_id}, discovery {facts.discovery}'
    memory_mib = facts.shared_memory_mib
    if memory_mib is None or 'fastrtps' not in facts.middleware:
        return ok('dds', tried, seen)
    seen += f', {memory_mib:.0f} MiB of shared memory free'
    if memory_mib < MIN_SHARED_MEMORY_MIB:
        return warn(
            'dds',
            tried,
            seen,
            'large images need some 34 MiB for each process: remove what killed processes left '
            '(fastdds shm clean), or give a container more (--shm-size, --ipc=host)',
        )
    return ok('dds', tried, seen)


def _names(endpoints: tuple[Endpoint, ...]) -> str:
    return ', '.join(sorted({endpoint.node for endpoint in endpoints}))


def _list(endpoints: tuple[Endpoint, ...]) -> str:
    return ', '.join(str(endpoint) for endpoint in endpoints)
