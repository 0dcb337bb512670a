"""Describe the package to colcon (ament_python) and to pip."""

import os
import sys
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.install import install

PACKAGE = 'rtc_signaling'
EXECUTABLES = ['signaling_server', 'camera_sender', 'test_camera', 'doctor']

# `ros2 run` and launch look for executables in lib/<package>, where pip cannot put them.
FORWARDER = """#!/bin/sh
exec "$(dirname -- "$0")/../../bin/{name}" "$@"
"""


class Install(install):
    """Put the executables into lib/<package> in a wheel as well.

    colcon installs them there by itself (setup.cfg); pip puts them into bin/, so a wheel carries
    one forwarder for each.
    """

    def run(self):
        """Install everything, then write the forwarders where the scripts go elsewhere."""
        super().run()
        directory = Path(self.install_data, 'lib', PACKAGE)
        if Path(self.install_scripts).resolve() == directory.resolve():
            return
        directory.mkdir(parents=True, exist_ok=True)
        for name in EXECUTABLES:
            forwarder = directory / name
            forwarder.write_text(FORWARDER.format(name=name))
            forwarder.chmod(0o755)


def interpreter():
    """Choose the interpreter in the first line of the executables that colcon installs.

    aiortc and websockets live in a virtual environment on top of ROS, but colcon itself runs on
    the system's Python, which would become that line: the nodes would not find them. pip writes
    its own first line and does not ask.
    """
    # Not sys.prefix: colcon overrides it.
    if Path(sys.executable).parents[1].joinpath('pyvenv.cfg').exists():
        return sys.executable
    activated = os.environ.get('VIRTUAL_ENV')
    if activated and Path(activated, 'bin', 'python3').exists():
        return f'{activated}/bin/python3'
    return '/usr/bin/env python3'


setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed', 'web/**', 'clips/**']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', glob('launch/*.launch.py')),
        (f'share/{PACKAGE}/launch/examples', glob('launch/examples/*.launch.py')),
        (f'share/{PACKAGE}/config', glob('config/*')),
    ],
    cmdclass={'install': Install},
    options={'build_scripts': {'executable': interpreter()}},
    python_requires='>=3.11',
    install_requires=[
        'aiortc>=1.14',
        'av',
        'msgspec>=0.19',
        'numpy',
        'prometheus-client>=0.19',
        'pyjwt>=2.7',
        'websockets>=16',
    ],
    extras_require={
        # The server runs without it, only slower.
        'speed': ['uvloop>=0.19'],
        # What an installation of ROS 2 brings, as wheels of the real rclpy.
        'ros': [
            'opencv-python-headless',
            'ros-diagnostic-msgs',
            'ros-rcl-interfaces',
            'ros-rclpy[fastrtps]',
            'ros-sensor-msgs',
            'ros-std-msgs',
            'ros-std-srvs',
        ],
        'test': [
            'axe-playwright-python',
            'hypothesis',
            'mypy',
            'playwright',
            'pytest',
            'pytest-cov',
            'pytest-timeout',
            'pytest-xdist',
            'ruff',
        ],
    },
    zip_safe=False,
    maintainer='rtc_signaling developers',
    maintainer_email='rtc-signaling@example.org',
    description="See a robot's camera from any browser: WebRTC signaling and a camera sender.",
    license='Apache-2.0',
    entry_points={
        'console_scripts': [f'{name} = {PACKAGE}.nodes.entry:{name}' for name in EXECUTABLES],
    },
)
