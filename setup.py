from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'rtc_signaling'

setup(
    name=PACKAGE,
    version='0.1.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed', 'web/*', 'clips/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', glob('launch/*.launch.py')),
        (f'share/{PACKAGE}/config', glob('config/*')),
    ],
    python_requires='>=3.11',
    install_requires=['aiortc>=1.14', 'av', 'msgspec>=0.19', 'numpy', 'websockets>=16'],
    extras_require={
        # What an installation of ROS 2 brings, as wheels of the real rclpy.
        'ros': [
            'opencv-python-headless',
            'ros-diagnostic-msgs',
            'ros-rclpy[fastrtps]',
            'ros-sensor-msgs',
            'ros-std-msgs',
            'ros-std-srvs',
        ],
        'test': [
            'hypothesis',
            'mypy',
            'playwright',
            'pytest',
            'pytest-cov',
            'pytest-timeout',
            'ruff',
        ],
    },
    zip_safe=False,
    maintainer='rtc_signaling developers',
    maintainer_email='rtc-signaling@example.org',
    description="See a robot's camera from any browser: WebRTC signaling and a camera sender.",
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            f'signaling_server = {PACKAGE}.nodes.entry:signaling_server',
            f'camera_sender = {PACKAGE}.nodes.entry:camera_sender',
            f'test_camera = {PACKAGE}.nodes.entry:test_camera',
        ],
    },
)
