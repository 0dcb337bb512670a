"""A camera driver: publishes the film over DDS, with the index of each picture drawn into it."""

from __future__ import annotations

import sys
import threading
import time
from array import array

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from streams import talk
from streams.film import Film, IndexStrip, ticks
from streams.plan import from_arguments


def main() -> None:
    """Publish until the harness is done."""
    stream = from_arguments(sys.argv[1:])
    film, strip = Film(stream), IndexStrip(stream)
    context = Context()
    context.init([])
    node = Node('publisher', context=context)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(Image, 'camera/image_raw', qos)
    stop = threading.Event()
    published_ns: dict[int, int] = {}

    def message(index: int) -> Image:
        picture = strip.marked(film.pictures[film.at(index)], index)
        image = Image(
            height=stream.height, width=stream.width, step=stream.width * 3, encoding='bgr8'
        )
        data = array('B')
        data.frombytes(picture.data)
        image.data = data
        return image

    def publish() -> None:
        image = message(0)
        for index in ticks(stop):
            # Drawn before, so that the time is that of the call.
            now_ns = time.time_ns()
            image.header.stamp.sec, image.header.stamp.nanosec = divmod(now_ns, 1_000_000_000)
            publisher.publish(image)
            published_ns[index & 0xFFFF] = now_ns
            image = message(index + 1)

    thread = threading.Thread(target=publish)
    thread.start()
    talk.serve_blocking({'published': lambda: {'times_ns': dict(published_ns)}})
    stop.set()
    thread.join()
    node.destroy_node()
    context.try_shutdown()


if __name__ == '__main__':
    main()
