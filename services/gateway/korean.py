"""The API document in Korean: what its readers see first, by operation and by tag. English stands with the services' routes."""

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Final

from libs.common.web.openapi import operations

# In Korean and English, both.
DESCRIPTION: Final = (
    "더빙 연습: 영화 대사를 녹음해 올리고, 분석을 실시간으로 지켜보고, 얼마나 비슷했는지 확인합니다.",
    "Dubbing practice: upload a take of a film's line, follow its analysis live, read how close it was.",
)
TAGS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "service": ("서비스 상태", "The service itself"),
        "auth": ("로그인과 계정", "Signing in, accounts"),
        "accounts": ("계정 관리 (관리자)", "Accounts, for administrators"),
        "auth (development only)": ("개발용 로그인", "Signing in while developing"),
        "actors": ("배우", "Actors"),
        "tokens": ("장면", "Scenes"),
        "scripts": ("대사", "Lines"),
        "urls": ("영화 주소", "Films by address"),
        "catalogue": ("카탈로그 가져오기와 내보내기", "The catalogue as a document"),
        "audio": ("녹음과 분석", "Recordings and their analysis"),
        "analysis": ("실시간 진행 상황", "Live progress"),
        "jobs": ("분석 작업", "Jobs of analysis"),
        "webhooks": ("분석 서버의 결과", "What analysis servers post"),
        "films": ("영상 처리", "Scenes out of films"),
        "my page": ("마이페이지", "What the caller did and kept"),
        "scores": ("점수", "Scores"),
        "dubbings": ("더빙 합성", "Dubbings"),
        "video requests": ("영상 요청", "Requests for films"),
        "objects": ("저장된 파일", "Stored objects"),
    }
)

SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        "root": "서비스 소개",
        "health": "모든 것이 정상인지",
        "well_known_key_set": "액세스 토큰을 검증하는 공개 키",
        "auth_me": "내 계정",
        "auth_change_profile": "이름과 사진 바꾸기",
        "auth_delete_account": "계정 삭제",
        "auth_refresh": "새 토큰 받기",
        "auth_rotate": "리프레시 토큰으로 새 토큰 받기",
        "auth_logout": "로그아웃",
        "auth_list_sessions": "로그인된 기기",
        "auth_end_all_sessions": "모든 기기에서 로그아웃",
        "auth_end_session": "다른 기기에서 로그아웃",
        "auth_my_activity": "내 계정의 활동 기록",
        "auth_export": "내 데이터를 한 파일로 받기",
        "auth_search_accounts": "이메일이나 이름으로 계정 검색",
        "auth_deactivate": "계정 비활성화",
        "auth_activate": "계정 다시 활성화",
        "auth_grant_admin": "관리자로 지정",
        "auth_revoke_admin": "관리자 해제",
        "auth_google_login": "구글 id_token으로 로그인",
        "auth_google_start": "구글 로그인: 브라우저 시작",
        "auth_google_callback": "구글 로그인: 브라우저 복귀",
        "auth_google_token": "구글 로그인: 코드를 토큰으로 교환",
        "auth_development_login": "증명 없이 누구로든 로그인 (개발용)",
        "auth_development_users": "아이디가 있는 계정 가져오기 (개발용)",
        "actors_list_actors": "모든 배우",
        "actors_create_actor": "배우 추가 (관리자)",
        "actors_search_actors": "이름이나 별명으로 배우 검색",
        "actors_list_tokens_of_actor": "배우의 장면",
        "tokens_list_tokens": "모든 장면",
        "tokens_create_token": "장면 추가 (관리자)",
        "tokens_list_latest": "최신 장면",
        "tokens_list_popular": "인기 장면",
        "tokens_list_sync_collection": "짧은 장면",
        "tokens_list_of_category": "카테고리의 장면",
        "tokens_get_token": "장면과 대사",
        "tokens_change_token": "장면 수정 (관리자)",
        "tokens_delete_token": "장면 삭제 (관리자)",
        "tokens_list_related": "같은 배우의 다른 장면",
        "tokens_count_view": "조회수 올리기",
        "scripts_list_scripts": "모든 대사",
        "scripts_create_script": "대사 추가 (관리자)",
        "scripts_get_script": "대사 하나",
        "scripts_change_script": "대사 수정 (관리자)",
        "scripts_delete_script": "대사 삭제 (관리자)",
        "scripts_list_scripts_of_token": "장면의 대사",
        "urls_check_url": "영화의 장면이 있는지",
        "urls_list_tokens_of_url": "영화의 장면",
        "duet_list_duets": "장면이 두 개인 영화",
        "catalog_import_document": "카탈로그 문서 가져오기 (관리자)",
        "catalog_export_document": "카탈로그 전체 내보내기 (관리자)",
        "scripts_upload_audio": "대사 녹음을 올리고 분석 시작",
        "tokens_upload_audio": "장면 전체 녹음을 올리고 분석 시작",
        "tokens_batch_upload": "여러 장면의 녹음 올리기",
        "tokens_batch_progress": "여러 분석의 상태",
        "tokens_queue_status": "분석을 기다리는 작업의 수",
        "scripts_script_result": "분석 상태와 결과",
        "tokens_token_result": "분석 상태와 결과 (웹 클라이언트)",
        "follow_scripts_analysis": "대사 분석을 실시간으로 보기",
        "follow_tokens_analysis": "장면 분석을 실시간으로 보기",
        "follow_youtube_process": "영상 처리를 실시간으로 보기",
        "scripts_line_completed": "대사의 분석 결과 보내기 (분석 서버)",
        "tokens_scene_completed": "장면의 분석 결과 보내기 (분석 서버)",
        "scripts_clean_up_anonymous": "오래된 익명 녹음과 결과 정리 (관리자)",
        "jobs_job": "분석 상태와 대기 순서",
        "jobs_cancel": "분석 취소",
        "jobs_retry": "실패하거나 취소된 분석 다시 시작",
        "youtube_process": "유튜브 영화로 장면 만들기 (관리자)",
        "youtube_process_status": "영상 처리 상태와 만들어진 장면 (관리자)",
        "youtube_process_complete": "영상 처리 결과 보내기 (처리 서버)",
        "mypage_overview": "마이페이지 한눈에 보기",
        "mypage_add_bookmark": "장면 북마크",
        "mypage_list_bookmarks": "내 북마크",
        "mypage_remove_bookmark": "북마크 삭제",
        "mypage_my_dubbed_tokens": "내가 더빙한 장면",
        "mypage_analysis_status": "장면의 대사별 최신 결과",
        "mypage_erase_my_results": "장면의 내 녹음과 결과 삭제",
        "score_scene_score": "장면의 내 점수",
        "score_my_average": "내 평균 점수",
        "score_top_recorders": "가장 많이 녹음한 사용자",
        "synthesize": "내 녹음을 배경음과 합성",
        "tokens_latest_dubbing": "장면의 최신 더빙",
        "tokens_user_audios": "장면의 내 대사 녹음",
        "request_create_request": "영상 요청하기",
        "request_list_own_requests": "내 영상 요청",
        "request_list_all_requests": "모든 영상 요청",
        "request_decide_request": "영상 요청 심사 (관리자)",
        "request_delete_request": "거절된 요청 삭제",
        "objects_get_object": "서명된 링크로 파일 받기",
    }
)


def tags_of(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """The tags that operations of `document` have, as far as they are known here, with English descriptions."""
    used = {tag for _, _, operation in operations(document) for tag in operation.get("tags", ())}
    return [{"name": name, "description": english} for name, (_, english) in TAGS.items() if name in used]


def in_korean(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `document` with the texts of this module; what has none here keeps its own."""
    spoken = deepcopy(dict(document))
    korean, english = DESCRIPTION
    spoken["info"]["description"] = spoken["info"]["description"].replace(english, korean)
    for tag in spoken["tags"]:
        tag["description"] = TAGS[tag["name"]][0]
    for _, _, operation in operations(spoken):
        operation["summary"] = SUMMARIES.get(operation["operationId"], operation["summary"])
    return spoken
