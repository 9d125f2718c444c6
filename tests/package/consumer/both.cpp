// SPDX-License-Identifier: BSL-1.0
namespace fcontext {
void print_squares();
}
namespace native {
void print_squares();
}

int main() {
  fcontext::print_squares();
  native::print_squares();
}
