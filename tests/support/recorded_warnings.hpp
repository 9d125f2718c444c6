// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <krait/krait.hpp>

namespace support {

/// While alive, keeps the warnings that are given. Python: warnings.catch_warnings(record=True).
class recorded_warnings {
 public:
  recorded_warnings()
      : previous_(krait::set_warning_hook([this](const std::string& text) { texts_.push_back(text); })) {}
  recorded_warnings(const recorded_warnings&) = delete;
  recorded_warnings& operator=(const recorded_warnings&) = delete;
  ~recorded_warnings() { krait::set_warning_hook(std::move(previous_)); }

  const std::vector<std::string>& texts() const { return texts_; }
  bool none() const { return texts_.empty(); }

 private:
  std::vector<std::string> texts_;
  krait::warning_hook previous_;
};

}  // namespace support
