"""A camera for the tests of latency: it draws the stamp into the picture that it is of.

    python test/stamping_camera.py [SHIFT_S]

The index in the picture is the time in ms, modulo 65536. SHIFT_S is added to the header stamp
alone.
"""

from __future__ import annotations

import contextlib
import sys
import time
from array import array

import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from rtc_signaling.media.scene import Scene

RATE_HZ = 30
WIDTH, HEIGHT = 640, 480


def image_of(scene, now_ns, stamp_ns):
    picture = scene.render(now_ns / 1e9, now_ns // 1_000_000 % 65536)
    image = Image(height=HEIGHT, width=WIDTH, step=WIDTH * 3, encoding='bgr8')
    image.header.stamp.sec, image.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    data = array('B')
    data.frombytes(picture.tobytes())
    image.data = data
    return image


def main(shift_s=0.0):
    context = Context()
    context.init([])
    node = rclpy.create_node('stamping_camera', context=context)
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    publisher = node.create_publisher(Image, 'camera/image_raw', qos)
    scene = Scene(WIDTH, HEIGHT)
    print('publishing', flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            now_ns = time.time_ns()
            publisher.publish(image_of(scene, now_ns, now_ns + int(shift_s * 1e9)))
            time.sleep(max(now_ns / 1e9 + 1 / RATE_HZ - time.time(), 0.0))


if __name__ == '__main__':
    main(*map(float, sys.argv[1:]))
