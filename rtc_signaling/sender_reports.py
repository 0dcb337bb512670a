"""How the camera sender is: its status and its parts for /diagnostics, from its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from rtc_signaling.image_flow import ImageFlow, judge
from rtc_signaling.report import Finding, Level, Report, worst
from rtc_signaling.sender_config import SenderConfig
from rtc_signaling.sender_metrics import EncoderFigures, PictureAges, SenderSnapshot, ViewerFigures

# A camera that gives nearly what is expected of it is well.
RATE_TOLERANCE = 0.9
# So much of the images may be replaced unseen before the sender counts as too slow for them.
DROP_TOLERANCE = 0.1
# Viewers that wait longer for a key frame which nobody can ask for are worth a warning.
LONG_WAIT_S = 2.0


def status(snapshot: SenderSnapshot, flow: ImageFlow, seen: str, config: SenderConfig) -> Report:
    """Return the status for people: everything, the most important first.

    Args:
        snapshot: The sender's figures.
        flow: How images arrive.
        seen: Size and encoding of the last image, in words.
        config: The thresholds.
    """
    level, message = worst(
        # Without the link nobody can watch, whatever the camera does.
        _link_findings(snapshot) or _camera_findings(snapshot, flow, config),
        f'sending to {snapshot.viewers_connected} viewer(s)'
        if snapshot.enabled
        else 'switched off (set_enabled)',
    )
    values = (
        ('linked', snapshot.linked),
        ('enabled', snapshot.enabled),
        ('viewers', snapshot.viewers_connected),
        ('viewers_joining', snapshot.viewers - snapshot.viewers_connected),
        ('image', seen),
        *_arrival(flow),
        ('fps', snapshot.fps),
        ('bitrate_bps', snapshot.bitrate_bps),
        ('images_replaced', snapshot.images_replaced),
        ('images_bad', snapshot.images_bad),
        ('pictures_shown', snapshot.pictures_shown),
        ('pictures_dropped', snapshot.pictures_dropped),
        ('weak_links', _weak_links(snapshot)),
        ('encoders', ', '.join(f'{_name(e)} by {e.encoder}' for e in snapshot.encoders)),
        ('last_error', snapshot.last_error),
        ('server_url', snapshot.server_url),
    )
    return Report('status', level, message, values)


def status_of_all(
    snapshot: SenderSnapshot,
    flows: Mapping[str, ImageFlow],
    seen: Mapping[str, str],
    config: SenderConfig,
) -> Report:
    """Return the status of a sender with several cameras; each has one of its own besides.

    Args:
        snapshot: The sender's figures, with those of each camera.
        flows: How images arrive, by the camera's name.
        seen: Size and encoding of the last image, likewise.
        config: The thresholds.
    """
    findings = [
        (level, f'{name}: {message}')
        for name, camera in snapshot.cameras.items()
        for level, message in _camera_findings(camera, flows[name], config)
    ]
    level, message = worst(
        _link_findings(snapshot) or findings,
        f'sending to {snapshot.viewers_connected} viewer(s)'
        if snapshot.enabled
        else 'switched off (set_enabled)',
    )
    values = (
        ('linked', snapshot.linked),
        ('cameras', ', '.join(snapshot.cameras)),
        ('cameras_off', ', '.join(n for n, c in snapshot.cameras.items() if not c.enabled)),
        ('viewers', snapshot.viewers_connected),
        ('viewers_joining', snapshot.viewers - snapshot.viewers_connected),
        ('bitrate_bps', snapshot.bitrate_bps),
        *((f'{name}_image', seen[name]) for name in snapshot.cameras),
        *((f'{name}_image_rate', flows[name].received_hz) for name in snapshot.cameras),
        *((f'{name}_fps', camera.fps) for name, camera in snapshot.cameras.items()),
        ('server_url', snapshot.server_url),
    )
    return Report('status', level, message, values)


def diagnostics(
    snapshot: SenderSnapshot, flows: Mapping[str, ImageFlow], config: SenderConfig
) -> list[Report]:
    """Return the parts for /diagnostics (REP 107), judged by the thresholds of `config`.

    Args:
        snapshot: The sender's figures.
        flows: How images arrive, by the camera's name; of a camera without one by ''.
        config: The thresholds.
    """
    parts = []
    for name, flow in flows.items():
        camera = snapshot.cameras[name] if name else snapshot
        parts += [_camera(camera, flow, config), _encoder(camera, flow, config)]
        if name:
            parts[-2:] = [replace(part, part=f'{part.part} {name}') for part in parts[-2:]]
    return [
        *parts,
        _link(snapshot),
        *(_viewer(figures, config) for figures in snapshot.viewer_figures),
    ]


def _weak_links(snapshot: SenderSnapshot) -> str:
    """Return how many viewers get less than the whole, by layer, in words."""
    layers = Counter(viewer.layer for viewer in snapshot.viewer_figures)
    lower = {layer: count for layer, count in layers.items() if layer not in ('', 'full')}
    return ', '.join(f'{count} {layer}' for layer, count in sorted(lower.items()))


def _link_findings(snapshot: SenderSnapshot) -> list[Finding]:
    if snapshot.refusal:
        return [(Level.ERROR, snapshot.refusal)]
    if not snapshot.linked:
        text = f'no connection to the signaling server at {snapshot.server_url}'
        return [(Level.WARN, text)]
    return []


def _camera_findings(
    snapshot: SenderSnapshot, flow: ImageFlow, config: SenderConfig
) -> list[Finding]:
    if not snapshot.enabled:
        return []
    findings: list[Finding] = []
    if snapshot.last_error:
        findings.append((Level.ERROR, snapshot.last_error))
    arriving = judge(flow, config.stale_timeout_s)
    if arriving[0] is not Level.OK:
        findings.append(arriving)
    elif flow.received_hz < RATE_TOLERANCE * config.expected_rate_hz:
        expected = f'{config.expected_rate_hz:g} expected (expected_rate)'
        findings.append((Level.WARN, f'{flow.received_hz:.1f} images a second, {expected}'))
    # The age of now, without what has passed since: a slow camera's images are not old ones.
    came_old_s = 0.0 if flow.age_s is None else flow.age_s - flow.silence_s
    if came_old_s > config.warn_frame_age_s:
        text = f'images are {came_old_s:.2f} s old when they come, more than warn.frame_age'
        findings.append((Level.WARN, text))
    return findings


def _camera(snapshot: SenderSnapshot, flow: ImageFlow, config: SenderConfig) -> Report:
    well = f'{flow.received_hz:.1f} images a second' if snapshot.enabled else 'switched off'
    level, message = worst(_camera_findings(snapshot, flow, config), well)
    values = (
        ('expected_rate', config.expected_rate_hz),
        *_arrival(flow),
        ('images_bad', snapshot.images_bad),
    )
    return Report('camera', level, message, values)


def _encoder(snapshot: SenderSnapshot, flow: ImageFlow, config: SenderConfig) -> Report:
    findings: list[Finding] = []
    if snapshot.encoder_error:
        findings.append((Level.ERROR, snapshot.encoder_error))
    if snapshot.drop_rate > DROP_TOLERANCE:
        share = f'{snapshot.drop_rate:.0%} of the images'
        findings.append((Level.WARN, f'too slow: {share} were replaced before they were sent'))
    running = [figures for figures in snapshot.encoders if figures.viewers]
    # One codec is encoded after the other.
    spent_s = sum(figures.encode_s.p50 for figures in running)
    rate_hz = min(flow.received_hz, config.max_fps or flow.received_hz)
    if spent_s * rate_hz > 1.0:
        text = f'over budget: a picture takes {spent_s * 1000:.0f} ms, at {rate_hz:.0f} Hz'
        findings.append((Level.WARN, text))
    findings += [
        (Level.WARN, f'{figures.note}; {figures.encoder} is used')
        for figures in running
        if figures.note
    ]
    if snapshot.key_frame_wait_s > LONG_WAIT_S:
        findings.append((Level.WARN, _waiting(snapshot)))
    level, message = worst(
        findings, f'{snapshot.fps:.1f} pictures a second' if snapshot.viewers else 'nobody watches'
    )
    values = (
        ('fps', snapshot.fps),
        ('bitrate_bps', snapshot.bitrate_bps),
        ('replaced_share', snapshot.drop_rate),
        ('images_replaced', snapshot.images_replaced),
        ('pictures_shown', snapshot.pictures_shown),
        ('pictures_dropped', snapshot.pictures_dropped),
        ('encoder_failures', snapshot.encoder_failures),
        *_stream(snapshot),
        *_ages(snapshot.ages),
        *(pair for figures in snapshot.encoders for pair in _encoder_values(figures)),
    )
    return Report('encoder', level, message, values)


def _waiting(snapshot: SenderSnapshot) -> str:
    spacing_s = snapshot.key_frame_spacing_s
    known = f', the last ones were {spacing_s:.1f} s apart' if spacing_s else ''
    return (
        f'viewers wait {snapshot.key_frame_wait_s:.1f} s by now for a key frame of the camera'
        f'{known}; set it to one each second or two'
    )


def _stream(snapshot: SenderSnapshot) -> tuple[tuple[str, object], ...]:
    """Return what the camera's own H.264 is; nothing where there is none."""
    if not snapshot.stream:
        return ()
    return (
        ('passed_on_stream', snapshot.stream),
        ('passed_on_key_frame_spacing', snapshot.key_frame_spacing_s),
    )


def _ages(ages: PictureAges) -> tuple[tuple[str, object], ...]:
    """Return how old pictures were at each step, in ms; nothing where nothing was sent."""
    steps = (
        ('arrived', ages.arrived),
        ('encode_begun', ages.begun),
        ('encoded', ages.encoded),
        ('sent', ages.sent),
    )
    return tuple(
        (f'age_{step}_ms_{name}', value * 1000)
        for step, quantiles in steps
        if quantiles.count
        for name, value in (('p50', quantiles.p50), ('p95', quantiles.p95))
    )


def _name(figures: EncoderFigures) -> str:
    full = figures.layer == 'full'
    return figures.codec if full else f'{figures.codec} {figures.layer}'


def _encoder_values(figures: EncoderFigures) -> tuple[tuple[str, object], ...]:
    codec = _name(figures).replace(' ', '_')
    bitrate_bps = figures.bitrate_bps
    return (
        *(() if bitrate_bps is None else ((f'{codec}_bitrate_bps', bitrate_bps),)),
        (f'{codec}_encoder', figures.encoder),
        (f'{codec}_viewers', figures.viewers),
        (f'{codec}_key_frames', figures.key_frames),
        (f'{codec}_encode_ms_p50', figures.encode_s.p50 * 1000),
        (f'{codec}_encode_ms_p95', figures.encode_s.p95 * 1000),
    )


def _link(snapshot: SenderSnapshot) -> Report:
    level, message = worst(_link_findings(snapshot), f'connected to {snapshot.server_url}')
    values = (('linked', snapshot.linked), ('server_url', snapshot.server_url))
    return Report('signaling link', level, message, values)


def _viewer(figures: ViewerFigures, config: SenderConfig) -> Report:
    findings: list[Finding] = []
    if figures.state != 'connected':
        findings.append((Level.WARN, f'its connection is {figures.state}'))
    if figures.loss is not None and figures.loss > config.warn_loss:
        findings.append((Level.WARN, f'{figures.loss:.1%} of its packets are lost'))
    if figures.latency_s is not None and figures.latency_s > config.warn_latency_s:
        text = f'its pictures are {figures.latency_s:.2f} s old, more than warn.latency'
        findings.append((Level.WARN, text))
    if figures.layer not in ('', 'full'):
        text = f'its link is too thin for the whole picture: it gets the layer {figures.layer}'
        findings.append((Level.WARN, text))
    level, message = worst(findings, 'connected')
    measured = (
        ('latency_ms', None if figures.latency_s is None else figures.latency_s * 1000),
        ('fps', figures.fps),
        ('bitrate_bps', figures.bitrate_bps),
        ('loss', figures.loss),
        ('freezes', figures.freezes),
        ('rtt_ms', None if figures.rtt_s is None else figures.rtt_s * 1000),
        ('layer', figures.layer or None),
        ('estimate_bps', figures.estimate_bps),
        ('timing_ignored', figures.timing_ignored or None),
    )
    known = tuple((key, value) for key, value in measured if value is not None)
    return Report(
        ' '.join(filter(None, ('viewer', figures.client_id, figures.camera))),
        level,
        message,
        (('state', figures.state), *known),
    )


def _arrival(flow: ImageFlow) -> tuple[tuple[str, object], ...]:
    return (
        ('image_rate', flow.received_hz),
        ('image_rate_published', flow.published_hz),
        *((('frame_age_ms', flow.age_s * 1000),) if flow.age_s is not None else ()),
        ('images_received', flow.received),
        ('images_lost', flow.lost),
        ('image_topic', flow.topic),
        ('image_qos', 'reliable' if flow.reliable else 'best effort'),
        ('image_publishers', ', '.join(publisher.node for publisher in flow.publishers)),
        ('image_qos_mismatches', flow.incompatible),
        ('image_qos_mismatch', flow.incompatible_policy),
    )
