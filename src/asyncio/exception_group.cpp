// SPDX-License-Identifier: BSL-1.0
#include "krait/asyncio/exception_group.hpp"

namespace krait::asyncio {

namespace {

std::string counted(const std::string& message, std::size_t count) {
  return message + " (" + std::to_string(count) + (count == 1 ? " sub-exception)" : " sub-exceptions)");
}

}  // namespace

exception_group::exception_group(const std::string& message, std::vector<std::exception_ptr> exceptions)
    : std::runtime_error(counted(message, exceptions.size())),
      message_(message),
      exceptions_(std::move(exceptions)) {
  if (exceptions_.empty()) {
    throw value_error("a group needs exceptions: there are none");
  }
  const auto null = std::ranges::find(exceptions_, nullptr);
  if (null != exceptions_.end()) {
    throw value_error("item " + std::to_string(null - exceptions_.begin()) +
                      " of a group is not an exception");
  }
}

const exception_group* exception_group::in(const std::exception_ptr& exception) noexcept {
  if (exception == nullptr) {
    return nullptr;
  }
  try {
    std::rethrow_exception(exception);
  } catch (const exception_group& group) {
    return &group;  // of the object that `exception` shares: it is not copied
  } catch (...) {
    return nullptr;
  }
}

void exception_group::add_leaves(std::vector<std::exception_ptr>& to) const {
  for (const std::exception_ptr& each : exceptions_) {
    if (const exception_group* const inner = in(each)) {
      inner->add_leaves(to);
    } else {
      to.push_back(each);
    }
  }
}

std::vector<std::exception_ptr> exception_group::leaves() const {
  std::vector<std::exception_ptr> all;
  add_leaves(all);
  return all;
}

std::exception_ptr exception_group::derive(std::vector<std::exception_ptr> some) const {
  return std::make_exception_ptr(exception_group(message_, std::move(some)));
}

std::exception_ptr exception_group::derived(std::vector<std::exception_ptr> some) const {
  if (some.empty()) {
    return nullptr;
  }
  std::exception_ptr made = derive(std::move(some));
  if (in(made) == nullptr) {
    throw type_error("derive must return an exception_group");
  }
  return made;
}

exception_group::parts exception_group::split_by(const matcher& matches) const {
  if (matches.whole && matches.whole(*this)) {
    return {derived(exceptions_), nullptr};
  }
  std::vector<std::exception_ptr> matching, rest;
  for (const std::exception_ptr& each : exceptions_) {
    const exception_group* const inner = in(each);
    if (inner == nullptr ? matches.leaf(each) : matches.whole && matches.whole(*inner)) {
      matching.push_back(each);
    } else if (inner == nullptr) {
      rest.push_back(each);
    } else {
      auto [its_matching, its_rest] = inner->split_by(matches);
      if (its_matching != nullptr) {
        matching.push_back(std::move(its_matching));
      }
      if (its_rest != nullptr) {
        rest.push_back(std::move(its_rest));
      }
    }
  }
  return {derived(std::move(matching)), derived(std::move(rest))};
}

namespace detail {

void handling::has_raised(std::exception_ptr what, const std::exception_ptr& handled) {
  if (what != handled) {
    raised.push_back(std::move(what));
  } else if (const exception_group* const again = exception_group::in(what)) {
    again->add_leaves(kept);
  } else {
    kept.push_back(std::move(what));
  }
}

void handling::end(const std::exception_ptr& unmatched) {
  if (!matched) {
    std::rethrow_exception(unmatched != nullptr ? unmatched : rest);
  }
  if (rest != nullptr) {
    exception_group::in(rest)->add_leaves(kept);
  }
  // As they stood in the group.
  std::exception_ptr again = group.subgroup(
      [&](const std::exception_ptr& leaf) { return std::ranges::find(kept, leaf) != kept.end(); });
  if (raised.empty() && again == nullptr) {
    return;
  }
  if (raised.empty()) {
    std::rethrow_exception(again);
  }
  if (again != nullptr) {
    raised.push_back(std::move(again));
  }
  if (raised.size() == 1) {
    std::rethrow_exception(raised.front());
  }
  throw exception_group("", std::move(raised));
}

}  // namespace detail
}  // namespace krait::asyncio
