"""From a ROS image to WebRTC video."""
