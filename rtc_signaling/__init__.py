"""See a robot's camera from any browser: WebRTC signaling and a camera sender for ROS 2."""
